"""Samples: the same for a key wherever, whenever and by however many processes they are loaded."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from mtvit_core.errors import DataError
from mtvit_core.structures.framing import Letterbox
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.loading.loader import load
from mtvit_train.data.loading.sampler import EpochSampler
from mtvit_train.data.samples.augment import NO_AUGMENT, AugmentConfig
from mtvit_train.data.samples.images import ImageDataset, collate
from mtvit_train.scenes.writer import write_scenes
from support.training import shapes_data, tiny_coco

AUGMENT = AugmentConfig(scale=(0.5, 2))
CANVAS = Letterbox(32, 48)


@pytest.fixture
def tiny(tmp_path):
    return read_coco(tiny_coco.write(tmp_path), "train")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "data"
    write_scenes(folder, train=10, val=1, seed=0, size=96)
    return read_coco(folder, "train")


def same(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    return a == b


def same_annotations(a, b):
    fields = ("boxes", "labels", "masks", "keypoints", "is_crowd", "areas", "ids", "has")
    return all(same(getattr(a, field), getattr(b, field)) for field in fields)


def same_samples(a, b):
    return (
        torch.equal(a.image, b.image) and a.meta == b.meta and same_annotations(a.annotations, b.annotations)
    )


def same_batches(a, b):
    pairs = zip(a.annotations, b.annotations, strict=True)
    return torch.equal(a.images, b.images) and a.meta == b.meta and all(same_annotations(*p) for p in pairs)


def test_without_augmentation_a_sample_is_the_letterboxed_image(tiny):
    data = ImageDataset(tiny, CANVAS)
    sample = data[0, 0]
    assert torch.equal(sample.image, CANVAS.apply(data.image(0)))
    assert sample.meta == CANVAS.meta(30, 40, 7, "a.png")
    assert sample.annotations.ids.tolist() == [101, 102]
    scale = 32 / 30
    assert sample.annotations.boxes[0].tolist() == pytest.approx(
        [v * scale for v in (4, 6, 14, 18)], rel=0.01
    )


def test_a_sample_depends_on_seed_epoch_and_index_alone(scenes):
    data = ImageDataset(scenes, CANVAS, augment=AUGMENT, seed=1)
    first = data[0, 3]
    data[1, 3], data[0, 4]
    torch.manual_seed(99)
    assert same_samples(data[0, 3], first)
    assert not torch.equal(data[1, 3].image, first.image)
    assert not torch.equal(ImageDataset(scenes, CANVAS, augment=AUGMENT, seed=2)[0, 3].image, first.image)


def loaded(packed, workers, **options):
    data = ImageDataset(packed, CANVAS, augment=AUGMENT, seed=1, **options)
    sampler = EpochSampler(len(packed), 4, seed=1, epochs=2)
    return list(load(data, sampler, workers))


def test_the_number_of_loader_processes_changes_nothing(scenes):
    torch.set_num_threads(2)  # loader processes have one thread each; that must not show either
    try:
        alone = loaded(scenes, 0)
    finally:
        torch.set_num_threads(1)
    assert len(alone) == 5
    for workers in (1, 2):
        batches = loaded(scenes, workers)
        assert all(same_batches(a, b) for a, b in zip(alone, batches, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_one_line_from_loader_processes_too(tmp_path, tiny, workers):
    path = tmp_path / "train2017" / "a.png"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        list(load(ImageDataset(tiny, CANVAS), EpochSampler(3, 3, epochs=1), workers))
    assert str(caught.value) == (
        f"{path}: the image is damaged (image file is truncated); restore it from its source or leave it out."
    )


def test_a_run_that_resumes_sees_the_same_batches(scenes):
    data = ImageDataset(scenes, CANVAS, augment=AUGMENT, seed=1)
    later = EpochSampler(len(scenes), 4, seed=1, epochs=2, start=3)
    rest = list(load(data, later))
    assert all(same_batches(a, b) for a, b in zip(loaded(scenes, 0)[3:], rest, strict=True))


def test_a_cache_changes_nothing_but_the_reading(scenes, tmp_path):
    plain = loaded(scenes, 0)
    assert all(same_batches(a, b) for a, b in zip(plain, loaded(scenes, 0, cache_bytes=10**8), strict=True))


def test_a_cached_image_is_not_read_again(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    data = ImageDataset(packed, CANVAS, cache_bytes=3 * (30 * 40 + 24 * 24))
    first, second = data[0, 0], data[0, 1]
    copy = pickle.loads(pickle.dumps(data))
    copy[0, 0], copy[0, 1]
    for name in ("a.png", "more/b.png"):
        (tmp_path / "train2017" / name).unlink()
    for either in (data, copy):
        assert same_samples(either[0, 0], first)
        assert same_samples(either[0, 1], second)
    with pytest.raises(DataError, match="no such image file"):
        pickle.loads(pickle.dumps(data))[0, 0]


def test_a_cache_keeps_to_its_budget(tmp_path):
    packed = read_coco(tiny_coco.write(tmp_path), "train")
    data = ImageDataset(packed, CANVAS, cache_bytes=4000)
    data[0, 0], data[0, 1]
    (tmp_path / "train2017" / "more" / "b.png").unlink()
    data[0, 0]
    with pytest.raises(DataError, match="no such image file"):
        data[0, 1]


def test_a_data_set_can_be_sent_to_another_process(scenes):
    data = ImageDataset(scenes, CANVAS, augment=AUGMENT, cache_bytes=10**7)
    assert same_samples(pickle.loads(pickle.dumps(data))[2, 5], data[2, 5])


def test_only_needed_kinds_are_given(scenes):
    sample = ImageDataset(scenes, CANVAS, needs={"boxes"})[0, 0]
    assert sample.annotations.masks is None
    assert sample.annotations.keypoints is None
    assert sample.annotations.has == {"boxes"}


def test_colours_change_in_the_image_and_not_in_the_padding(scenes):
    augment = AugmentConfig(hflip=0, scale=(0.5, 0.5), contrast=0.5)
    data = ImageDataset(scenes, Letterbox(64, 96), augment=augment)
    for epoch in range(8):
        sample = data[epoch, 0]
        assert sample.meta.content == (32, 32)
        assert sample.image[:, 32:].sum() == 0
        assert sample.image[:, :, 32:].sum() == 0
    assert len({int(data[epoch, 0].image.sum()) for epoch in range(8)}) == 8


def one_image(folder, label):
    mask = np.zeros((20, 20), bool)
    mask[5:10, 2:8] = True
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "image.png")
    return ImageDataset(
        shapes_data.pack([mask], [label], np.zeros((1, 4, 3)), folder=folder),
        Letterbox(20, 20),
        augment=AugmentConfig(hflip=1, scale=(1, 1)),
    )


@pytest.mark.parametrize(("label", "x0"), [(0, 12), (1, 12), (2, 2)])
def test_images_with_keypoints_of_unknown_sides_are_never_mirrored(tmp_path, label, x0):
    data = one_image(tmp_path, label)
    assert {float(data[epoch, 0].annotations.boxes[0, 0]) for epoch in range(5)} == {x0}


def test_an_image_of_another_size_than_annotated_is_refused(tmp_path, tiny):
    path = tmp_path / "train2017" / "a.png"
    Image.new("RGB", (30, 40)).save(path)
    with pytest.raises(DataError) as caught:
        ImageDataset(tiny, CANVAS)[0, 0]
    assert str(caught.value) == (
        f"{path}: the upright image has 30 x 40 pixels, but its annotations say 40 x 30; correct the size of "
        "image 7 or annotate the upright image."
    )


def test_the_pixel_cap_reaches_the_reader(tiny):
    with pytest.raises(DataError, match="over the cap of 1000"):
        ImageDataset(tiny, CANVAS, max_pixels=1000)[0, 0]


def test_collate_keeps_each_image_s_annotations(tiny):
    data = ImageDataset(tiny, CANVAS)
    samples = [data[0, i] for i in range(3)]
    batch = collate(samples)
    assert batch.images.shape == (3, 3, 32, 48)
    for sample, annotations, meta in zip(samples, batch.annotations, batch.meta, strict=True):
        assert same_annotations(sample.annotations, annotations)
        assert sample.meta == meta


def test_collate_keeps_missing_labels_missing(tiny):
    whole, part = ImageDataset(tiny, CANVAS), ImageDataset(tiny, CANVAS, needs={"boxes"})
    batch = collate([part[0, 0], whole[0, 0], part[0, 1], whole[0, 1]])
    assert [a.masks is None for a in batch.annotations] == [True, False, True, False]
    assert same_annotations(batch.annotations[3], whole[0, 1].annotations)


def test_a_batch_is_few_blocks_of_memory_however_many_its_images(scenes):
    data = ImageDataset(scenes, CANVAS)
    batch = collate([data[0, i] for i in range(10)])
    fields = ("boxes", "labels", "masks", "keypoints", "is_crowd", "areas", "ids")
    blocks = {getattr(a, f).untyped_storage().data_ptr() for a in batch.annotations for f in fields}
    assert len(blocks) == len(fields)


def test_scenes_are_read_as_coco(scenes):
    assert len(scenes) == 10
    assert scenes.categories[0].keypoints.flip_pairs
    assert scenes.categories[0].keypoints.sigmas
    for index in range(10):
        original = scenes.original(index)
        for box, mask in zip(original.boxes.tolist(), original.masks.numpy(), strict=True):
            assert box == shapes_data.tight_box(mask)


@pytest.mark.parametrize("split", ["train", "val"])
def test_all_of_coco_mini_loads(coco_mini, split):
    packed = read_coco(coco_mini, split)
    data = ImageDataset(packed, Letterbox(256, 256), augment=AUGMENT)
    instances = 0
    for index in range(len(data)):
        found = data[0, index].annotations
        instances += len(found)
        assert found.masks.shape == (len(found), 256, 256)
        assert found.keypoints.shape == (len(found), 17, 3)
        assert (found.areas >= 1).all()
    assert 0.5 * packed.instances < instances <= packed.instances


def test_letterboxed_coco_mini_loses_hardly_anything(coco_mini):
    packed = read_coco(coco_mini, "val")
    data = ImageDataset(packed, Letterbox(640, 640), augment=NO_AUGMENT, needs={"boxes", "keypoints"})
    people = 0
    for index in range(len(data)):
        found, original = data[0, index].annotations, packed.original(index, {"boxes", "keypoints"})
        assert found.ids.tolist() == original.ids.tolist()
        visible = (original.keypoints[..., 2] > 0).any(1)
        people += int(visible.sum())
        assert torch.equal(found.keypoints[..., 2], original.keypoints[..., 2])
        back = data[0, index].meta.points_to_original(found.keypoints[..., :2])
        shown = original.keypoints[..., 2] > 0
        assert torch.allclose(back[shown], original.keypoints[..., :2][shown], atol=1e-3)
    assert people == 68
