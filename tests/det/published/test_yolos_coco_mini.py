"""Published YOLOS checkpoints on real images: predicted, evaluated and trained on as the source would be."""

from pathlib import Path

import torch
from transformers import YolosForObjectDetection, YolosImageProcessor

import mtvit_core
from mtvit_core.structures.categories import COCO_CATEGORIES
from mtvit_core.structures.framing import ShortSide
from mtvit_core.structures.image_files import read_image
from mtvit_train.build.data import read_data
from mtvit_train.build.model import make_model
from mtvit_train.build.splits import make_split
from mtvit_train.build.warm_start import known_categories, read_start
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from mtvit_train.data.samples.images import collate
from mtvit_train.engine.evaluate import evaluate
from support.tasks.published_cases import off, saved
from support.tasks.yolos_cases import SIZE, yolos

#: Columns of the published heads that are no category of COCO.
UNUSED = sorted(set(range(91)) - set(COCO_CATEGORIES.label_of_id))


def coco_yolos(folder: Path) -> tuple[YolosForObjectDetection, YolosImageProcessor]:
    """A model that never answers with an unused column, and its processor, both saved."""
    theirs = yolos()
    theirs.class_labels_classifier.layers[2].bias.data[UNUSED] = -50
    processor = YolosImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    processor.save_pretrained(saved(theirs, folder))
    return theirs, processor


def test_results_on_real_images(tmp_path: Path, coco_mini: Path) -> None:
    """Pre- and post-processing as the source's own; only boxes that leave the image are clipped here."""
    theirs, processor = coco_yolos(tmp_path / "yolos")
    ours = mtvit_core.load(tmp_path / "yolos")
    assert ours.framing == ShortSide(96, 160, 16)
    paths = sorted((coco_mini / "val2017").glob("*.jpg"))
    results = ours.predict(paths, batch_size=16)
    sizes = set()
    for path, result in zip(paths, results, strict=True):
        image = read_image(path)
        inputs = processor(image, return_tensors="pt")
        canvas = ours.framing.apply(image)
        torch.testing.assert_close(
            ours.backbone.normalise(canvas[None]), inputs["pixel_values"], atol=1e-5, rtol=1e-5
        )
        with torch.no_grad():
            outputs = theirs(inputs["pixel_values"])
        (expected,) = processor.post_process_object_detection(outputs, 0.0, [tuple(image.shape[-2:])])
        order = expected["scores"].argsort(descending=True, stable=True)
        torch.testing.assert_close(result.scores, expected["scores"][order], atol=1e-5, rtol=1e-4)
        ids = [result.categories[int(label)].id for label in result.instances.labels]
        assert ids == expected["labels"][order].tolist()
        limit = torch.tensor([image.shape[-1], image.shape[-2]] * 2)
        boxes = expected["boxes"][order].clamp(min=0).minimum(limit)
        torch.testing.assert_close(result.boxes, boxes, atol=1e-2, rtol=1e-4)
        sizes.add(tuple(canvas.shape[-2:]))
    assert len(sizes) > 5


def test_evaluation_shows_images_as_prediction_does(tmp_path: Path, coco_mini: Path) -> None:
    coco_yolos(tmp_path / "yolos")
    ours = mtvit_core.load(tmp_path / "yolos")
    packed = read_coco(coco_mini, "val", CocoConfig())
    split = make_split(RunConfig(), ours, packed, training=False)
    sample = split.views["image"][0, 5]
    image = read_image(coco_mini / "val2017" / sample.meta.file_name)
    assert torch.equal(sample.image, ours.framing.apply(image))
    assert sample.meta.to_original == ours.framing.meta(*image.shape[-2:]).to_original
    assert 0 <= evaluate(ours, split)["det/AP"] < 0.1
    trained = make_split(RunConfig(), ours, packed, training=True).views["image"][0, 5]
    assert tuple(trained.image.shape[-2:]) == SIZE


def test_a_run_goes_on_from_it(tmp_path: Path, coco_mini: Path) -> None:
    coco_yolos(tmp_path / "yolos")
    given = (f"model.start={tmp_path / 'yolos'}", "tasks.det.loss_class=2.0", "tasks.pose.queries=4")
    config = read_run(None, {"plugins": ("det", "pose"), "data": str(coco_mini)}, given)
    start = read_start(config, ("det", "pose"))
    assert start is not None
    data = read_data(config, coco_mini, known_categories(start, ("det", "pose")))
    model = make_model(config, data.train.categories, start)
    assert [task.name for task in model.task_list] == ["det", "pose"]
    assert data.train.annotated(0) is None
    split = make_split(config, model, data.train, training=True)
    losses = model.train().losses(collate([split.views["image"][0, 5]]))
    assert {"det/class", "pose/class"} <= losses.keys()
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    with torch.no_grad():
        ours, theirs = model.eval()(images)["det"], mtvit_core.load(tmp_path / "yolos")(images)["det"]
    assert off(ours.logits, theirs.logits) < 1e-6  # isolation; another task changes the shape of products
    assert off(ours.boxes, theirs.boxes) < 1e-6
