"""The example that extends the trainer: its reader, transform and weighting, alone and in a run."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mtvit_core.cli.main import main as mtvit
from mtvit_core.errors import ConfigError, DataError, PluginError
from mtvit_core.plugins.dataset_reader import LabelledImage, LabelledObject, LabelledSplit, MapFolder, Reader
from mtvit_core.plugins.extension import Extension
from mtvit_core.plugins.sample_transform import Transform
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.masks import encode_rle
from mtvit_core.tasks.task import TaskConfig
from mtvit_train.build.data import read_split
from mtvit_train.build.splits import make_transforms
from mtvit_train.cli.main import main as train_command
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.plugin_reader import read_with
from mtvit_train.data.samples.plugin_transforms import change
from mtvit_train.weighting.fixed import make_weighting
from support.commands.installed_example import installed


@pytest.fixture(scope="module")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example, installed."""
    with installed("extras", tmp_path_factory.mktemp("extras"), module="plugin") as module:
        yield module


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two images of noise a split, with boxes in CSV files."""
    folder, rng = tmp_path / "data", np.random.default_rng(0)
    folder.mkdir()
    for split in ("train", "val"):
        lines = ["file,name,x0,y0,x1,y1"]
        for number in range(2):
            name = f"{split}{number}.png"
            Image.fromarray(rng.integers(0, 256, (48, 64, 3), np.uint8)).save(folder / name)
            lines += [f"{name},cat,4,6,20,30", f"{name},dog,30,10,60.5,40"]
        (folder / f"{split}.csv").write_text("\n".join(lines))
    return folder


NAMES = {"names": ("dog", "cat")}


def test_the_example_is_listed(extras: ModuleType) -> None:
    found = json.loads(CliRunner().invoke(mtvit, ["plugins", "--json"]).stdout)
    parts = [(part["kind"], part["name"], part["distribution"]) for part in found["extensions"]]
    assert [part for part in parts if part[2] == "mtvit-extras"] == [
        ("reader", "csv_boxes", "mtvit-extras"),
        ("transform", "greyscale", "mtvit-extras"),
        ("weighting", "impartial", "mtvit-extras"),
    ]
    assert found["broken"] == []


def test_the_reader_s_boxes_are_packed(extras: ModuleType, data: Path) -> None:
    run = RunConfig(data=str(data), reader="csv_boxes", readers={"csv_boxes": NAMES})
    packed = read_split(run, data, "val")
    assert [(c.id, c.name) for c in packed.categories] == [(1, "dog"), (2, "cat")]
    image = packed.image(1)
    assert (image.path, image.image_id, image.height, image.width) == (data / "val1.png", 2, 48, 64)
    truth = packed.original(1)
    assert truth.has == {"boxes"}
    assert truth.boxes.tolist() == [[4, 6, 20, 30], [30, 10, 60.5, 40]]
    assert truth.labels.tolist() == [1, 0]
    assert truth.areas.tolist() == [16 * 24, 30.5 * 30]


def test_the_transform_draws_by_sample(extras: ModuleType) -> None:
    (grey,) = make_transforms(RunConfig(transforms={"greyscale": {"share": 0.5}}))
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    results = [change([grey], image, annotation(), seed=3, key=(0, index))[0] for index in range(40)]
    again = [change([grey], image, annotation(), seed=3, key=(0, index))[0] for index in range(40)]
    assert all(torch.equal(a, b) for a, b in zip(results, again, strict=True))
    changed = [result for result in results if not torch.equal(result, image)]
    assert 5 < len(changed) < 35
    assert all(torch.equal(result[0], result[2]) for result in changed)


def test_the_weighting_learns_the_scale(extras: ModuleType) -> None:
    run = RunConfig(weightings={"impartial": {"start": 0.5}}, train={"weighting": "impartial"})
    weighting = make_weighting(run, ("det", "pose", "seg"))
    losses = {"det/l1": torch.tensor(2.0), "det/class": torch.tensor(1.0), "pose/l1": torch.tensor(0.1)}
    weighted = weighting({**losses, "seg/mask": torch.tensor(0.0)})
    assert weighted["det/l1"].item() == pytest.approx(2 * math.exp(0.5))
    assert weighted["pose/impartial"].item() == -0.5
    torch.stack(list(weighted.values())).sum().backward()
    # d/ds (exp(s) L - s) = exp(s) L - 1: a task of large losses is scaled down; one without labels stays
    expected = [3 * math.exp(0.5) - 1, 0.1 * math.exp(0.5) - 1, 0]
    assert weighting.s.grad.tolist() == pytest.approx(expected)


def test_a_run_uses_all_three(
    extras: ModuleType, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run.toml").write_text(
        f'plugins = ["det"]\ndata = "{data}"\nreader = "csv_boxes"\nout = "run"\n'
        '[readers.csv_boxes]\nnames = ["dog", "cat"]\n[transforms.greyscale]\nshare = 1.0\n'
        '[model]\nbackbone = "vit_tiny_patch16_224"\nimage_size = [48, 64]\n'
        "options = { embed_dim = 24, depth = 2, num_heads = 2 }\n"
        '[train]\nweighting = "impartial"\nsteps = 2\nbatch_size = 2\nlog_every = 1\ndevice = "cpu"\n'
        'precision = "fp32"\nwarmup = 0\nlr = 1e-2\n[tasks.det]\nqueries = 4\n'
    )
    done = CliRunner().invoke(train_command, ["--config", "run.toml"])
    assert done.exit_code == 0, done.output
    records = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    terms = [record["det/impartial"] for record in records if record["kind"] == "train"]
    assert terms[0] == 0
    assert terms[1] != 0
    pixels = np.asarray(Image.open("run/labels.png").convert("RGB"))[4:12, 4:12].astype(int)
    assert np.abs(pixels - pixels.mean(-1, keepdims=True)).max() < 20
    line = ["evaluate", "run/model.safetensors", "--data", str(data), "--config", "run.toml"]
    done = CliRunner().invoke(mtvit, line)
    assert done.exit_code == 0, done.output


# What is refused


def annotation() -> Annotations:
    """Nothing, labelled."""
    nothing = torch.zeros(0)
    return Annotations(
        nothing[:, None].expand(0, 4), nothing.long(), None, None, nothing.bool(), nothing, nothing.long(),
        frozenset({"boxes"}),
    )  # fmt: skip


def test_what_is_not_installed_is_named(extras: ModuleType, data: Path) -> None:
    with pytest.raises(PluginError) as caught:
        read_split(RunConfig(data=str(data), reader="csv_box"), data, "val")
    assert str(caught.value) == (
        "reader 'csv_box' is not installed; installed: class_folders, csv_labels, folders, mtan, "
        "csv_boxes, unlabelled. Did you mean 'csv_boxes'?"
    )
    with pytest.raises(
        ConfigError, match=r"config: readers\.csv_boxes\.names is missing; it has no default\."
    ):
        read_split(RunConfig(data=str(data), reader="csv_boxes"), data, "val")
    with pytest.raises(ConfigError) as error:
        read_split(RunConfig(reader="csv_boxes"), data, "val")
    assert str(error.value) == ("reader 'csv_boxes': scenes are in COCO's layout; name a folder with --data.")


class Cropping(Transform[TaskConfig]):
    """Gives another size."""

    name = "cropping"
    api = 1
    Config = TaskConfig

    def __call__(self, image, annotations, rng):
        return image[:, 1:], annotations


def test_a_transform_keeps_the_canvas() -> None:
    with pytest.raises(PluginError) as caught:
        change([Cropping(TaskConfig())], torch.zeros(3, 4, 5, dtype=torch.uint8), annotation(), 0, (0, 0))
    assert str(caught.value) == (
        "transform 'cropping': it gave torch.uint8 of shape (3, 3, 5), not uint8 of shape (3, 4, 5); change "
        "pixels, not the canvas."
    )


class Given(Reader[TaskConfig]):
    """Yields what a test gives it."""

    name = "given"
    api = 1
    Config = TaskConfig

    def __init__(self, images: tuple[LabelledImage, ...], maps: dict[str, MapFolder] | None = None) -> None:
        Extension.__init__(self, TaskConfig())
        self.images, self.maps = images, maps or {}

    def categories(self, root):
        return Categories((Category(3, "cat"),))

    def split(self, root, split):
        return LabelledSplit(root, self.images, self.maps)


def image(*objects: LabelledObject, number: int = 1, has: tuple[str, ...] = ("boxes",)) -> LabelledImage:
    """An image of 8 x 6 pixels that lies in the folder."""
    return LabelledImage("a.png", number, 6, 8, objects, frozenset(has))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ((), ": the split 'val' has no images."),
        ((image(), image()), ": image id 1 is used for a.png and a.png; give each image its own."),
        (
            (LabelledImage("b.png", 1, 6, 8, (), frozenset()),),
            ": image b.png: there is no such file in {root}.",
        ),
        (
            (image(has=("box",)),),
            ": image a.png: 'box' is no kind of label; allowed: boxes, masks, keypoints.",
        ),
        (
            (image(LabelledObject(1, (0, 0, 2, 2))),),
            ": image a.png, object 0: category 1 is not among the categories.",
        ),
        (
            (image(LabelledObject(3, (9.0, 0.0, 12.0, 2.0))),),
            ": image a.png, object 0: the box (9.0, 0.0, 12.0, 2.0) covers nothing of 8 x 6 pixels.",
        ),
        (
            (image(LabelledObject(3, (0, 0, 2, 2)), has=("boxes", "masks")),),
            ": image a.png, object 0: it has no mask, but the image is said to have masks.",
        ),
        (
            (image(LabelledObject(3, (0, 0, 2, 2), encode_rle(np.ones((2, 3), bool)))),),
            ": image a.png, object 0: its mask is 3 x 2, the image 8 x 6.",
        ),
        (
            (image(LabelledObject(3, (0, 0, 2, 2), keypoints=np.zeros((2, 3), np.float32))),),
            ": image a.png, object 0: its keypoints have shape (2, 3), its category (0, 3).",
        ),
    ],
)
def test_what_a_reader_yields_is_checked(tmp_path: Path, images: Any, message: str) -> None:
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(DataError) as caught:
        read_with(Given(images), tmp_path, "val")
    assert str(caught.value) == f"reader 'given', {tmp_path}{message.format(root=tmp_path)}"


def test_a_reader_may_bring_masks_and_dense_labels(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "height").mkdir()
    Image.fromarray(np.full((6, 8), 4, np.uint8)).save(tmp_path / "height" / "a.png")
    mask = np.zeros((6, 8), bool)
    mask[1:3, 2:5] = True
    one = LabelledObject(3, (2, 1, 5, 3), encode_rle(mask))
    reader = Given((image(one, has=("boxes", "masks")),), {"height": MapFolder(tmp_path / "height", 0.5)})
    packed = read_with(reader, tmp_path, "train")
    truth = packed.original(0, {"masks", "height"})
    assert truth.has == {"masks", "height"}
    assert torch.equal(truth.masks[0], torch.from_numpy(mask))
    assert truth.areas.tolist() == [6]
    assert truth.maps["height"].unique().tolist() == [2]
