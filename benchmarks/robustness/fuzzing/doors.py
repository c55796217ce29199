"""What is fuzzed: for each kind of file, whole examples, how they are damaged, and what reads them."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from benchmarks.robustness.fuzzing.mutations import mutated, mutated_tree, with_header
from benchmarks.robustness.fuzzing.tool_forms import read as read_form
from benchmarks.robustness.fuzzing.tool_forms import write_voc, write_yolo
from PIL import Image

import mtvit_core
from mtvit_core.model.backbone import create_backbone
from mtvit_core.structures.image_files import image_size, read_image
from mtvit_core.structures.image_inputs import read_input
from mtvit_train.build.tasks import check_tasks
from mtvit_train.config.run import read_run, recipes
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.scenes.writer import write_scenes

CATEGORIES = mtvit_core.Categories(
    (mtvit_core.Category(7, "cat"), mtvit_core.Category(3, "person", mtvit_core.COCO_PERSON))
)


@dataclass(frozen=True)
class Door:
    """One kind of input.

    Attributes:
        write: Writes a damaged input into a folder; the same for the same state of the generator.
        read: Reads it from there as a user would have it read.
    """

    write: Callable[[Path, Random], None]
    read: Callable[[Path], Any]


def images(folder: Path) -> Door:
    """Photos, drawings and scans in every format that is read, by path and as bytes."""
    examples = [*_encoded(_picture())]

    def write(place: Path, random: Random) -> None:
        suffix, data = random.choice(examples)
        for old in place.iterdir():
            old.unlink()
        (place / f"image.{suffix}").write_bytes(mutated(data, random))

    def read(place: Path) -> None:
        (path,) = place.iterdir()
        try:
            image_size(path)
            read_image(path)
        finally:
            read_input(path.read_bytes())

    return Door(write, read)


def _picture() -> Image.Image:
    rows, columns = np.mgrid[0:24, 0:32]
    pixels = np.stack([rows * 9 % 256, columns * 7 % 256, (rows + columns) * 3 % 256], -1)
    return Image.fromarray(pixels.astype(np.uint8))


def _encoded(picture: Image.Image) -> list[tuple[str, bytes]]:
    exif = Image.Exif()
    exif[0x0112] = 6
    sixteen = Image.fromarray((np.arange(768, dtype=np.uint16) * 80).reshape(24, 32))
    ways: list[tuple[str, Image.Image, dict[str, Any]]] = [
        ("jpg", picture, {"exif": exif}),
        ("jpg", picture, {"progressive": True}),
        ("jpg", picture.convert("CMYK"), {}),
        ("png", picture, {}),
        ("png", picture.convert("RGBA"), {"exif": exif}),
        ("png", picture.convert("P"), {"transparency": 3}),
        ("png", sixteen, {}),
        ("gif", picture, {"save_all": True, "append_images": [picture.rotate(90)]}),
        ("webp", picture, {"lossless": True}),
        ("webp", picture, {}),
        ("bmp", picture, {}),
        ("tif", picture, {}),
        ("tif", picture, {"compression": "tiff_lzw"}),
        ("tif", sixteen, {"compression": "tiff_deflate"}),
        ("ppm", picture, {}),
        ("pgm", picture.convert("L"), {}),
    ]
    found = []
    for suffix, image, settings in ways:
        buffer = io.BytesIO()
        kind = {"jpg": "JPEG", "tif": "TIFF", "pgm": "PPM"}.get(suffix, suffix.upper())
        image.save(buffer, kind, **settings)
        found.append((suffix, buffer.getvalue()))
    return found


def coco(folder: Path) -> Door:
    """A data set of boxes, masks and keypoints in COCO's layout."""
    write_scenes(folder / "data", train=3, val=1, seed=1, size=64)
    root = folder / "data"
    files = [root / "annotations" / f"{name}_train2017.json" for name in ("instances", "person_keypoints")]
    whole = [json.loads(file.read_text()) for file in files]

    def write(place: Path, random: Random) -> None:
        for file, document in zip(files, whole, strict=True):
            file.write_text(json.dumps(document))
        chosen = random.randrange(2)
        if random.random() < 0.8:
            files[chosen].write_text(json.dumps(mutated_tree(whole[chosen], random)))
        else:
            files[chosen].write_bytes(mutated(files[chosen].read_bytes(), random))

    def read(place: Path) -> None:
        packed = read_coco(root, "train")
        for image in range(min(3, len(packed))):
            packed.original(image)

    return Door(write, read)


def configurations(folder: Path) -> Door:
    """Settings of a run: TOML files and assignments."""
    own = """
plugins = ["det", "seg", "pose"]
data = "coco"
[model]
backbone = "vit_tiny_patch16_224"
options = {patch_size = 16, depth = 2}
image_size = [64, 64]
[train]
steps = 10
lr = 1e-3
task_weights = {det = 2.0}
[tasks.det]
queries = 6
[[augment.crop]]
"""
    examples = [own.encode(), *(path.read_bytes() for path in recipes().values())]
    several = b'[[data]]\npath = "a"\nweight = 1\nlabels = ["boxes"]\n[[data]]\npath = "b"\nweight = 2\n'
    values = ("1", "-1", "nan", '"x"', "[]", "[1, 2]", "{a = 1}", "true", "", "1e400", "2024-01-01", "=")
    keys = (
        "train.lr",
        "model",
        "tasks.det.queries",
        "tasks.x",
        "data",
        "coco.only",
        "a.b.c",
        "",
        ".",
        "train",
    )

    def write(place: Path, random: Random) -> None:
        text = random.choice([*examples, several])
        damaged = mutated(text, random) if random.random() < 0.9 else text
        (place / "run.toml").write_bytes(damaged)
        sets = [f"{random.choice(keys)}={random.choice(values)}" for _ in range(random.randrange(3))]
        (place / "sets.json").write_text(json.dumps(sets))

    def read(place: Path) -> None:
        sets = json.loads((place / "sets.json").read_text())
        check_tasks(read_run(str(place / "run.toml"), {}, tuple(sets)))

    return Door(write, read)


def checkpoints(folder: Path) -> Door:
    """Models of ours, their weights alone, and published folders, damaged in header, settings and weights."""
    whole = _model_file(folder)
    published = _published(folder)
    pickled = folder / "weights.pth"
    torch.save({"model": {"a.weight": torch.ones(2, 3), "b": torch.zeros(4)}}, pickled)
    files = {"own": whole.read_bytes(), "pickled": pickled.read_bytes()}

    def write(place: Path, random: Random) -> None:
        for old in place.iterdir():
            old.unlink()
        match random.choice(("own", "own", "pickled", "published")):
            case "own":
                (place / "model.safetensors").write_bytes(_damaged_model(files["own"], random))
            case "pickled":
                (place / "weights.pth").write_bytes(mutated(files["pickled"], random))
            case _:
                for name, data in _damaged_folder(published, random).items():
                    (place / name).write_bytes(data)

    def read(place: Path) -> None:
        (single, *more) = sorted(place.iterdir())
        mtvit_core.load(place if more else single)

    return Door(write, read)


def _model_file(folder: Path) -> Path:
    options = {"patch_size": 16, "embed_dim": 8, "depth": 1, "num_heads": 1}
    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options=options)
    tasks = {"det": {"variant": "yolos", "queries": 3}}
    model = mtvit_core.build(backbone, tasks, CATEGORIES, person_canvas=(32, 32))
    mtvit_core.save(model, folder / "model.safetensors", extra={"step": 3})
    return folder / "model.safetensors"


def _damaged_model(data: bytes, random: Random) -> bytes:
    """Half of the damage is in what the file says of itself, which is JSON within JSON."""

    def change(header: Any) -> Any:
        metadata = json.loads(header["__metadata__"]["mtvit"])
        if random.random() < 0.75:
            header["__metadata__"]["mtvit"] = json.dumps(mutated_tree(metadata, random))
        return header if random.random() < 0.75 else mutated_tree(header, random)

    return mutated(data, random) if random.random() < 0.4 else with_header(data, change)


def _published(folder: Path) -> dict[str, bytes]:
    from transformers import YolosConfig, YolosForObjectDetection

    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 32}
    config = YolosConfig(**sizes, image_size=[32, 32], num_detection_tokens=3, num_labels=4)
    YolosForObjectDetection(config).save_pretrained(folder / "published")
    processor = {"size": {"shortest_edge": 32, "longest_edge": 64}, "image_mean": [0.485, 0.456, 0.406]}
    (folder / "published" / "preprocessor_config.json").write_text(json.dumps(processor))
    return {path.name: path.read_bytes() for path in (folder / "published").iterdir()}


def _damaged_folder(files: dict[str, bytes], random: Random) -> dict[str, bytes]:
    chosen = random.choice(sorted(files))
    data = files[chosen]
    if chosen.endswith(".json") and random.random() < 0.8:
        return {**files, chosen: json.dumps(mutated_tree(json.loads(data), random)).encode()}
    return {**files, chosen: mutated(data, random)}


#: Doors by the name of what is handed in, and their share of the inputs; a further format has its line here.
DOORS: dict[str, tuple[Callable[[Path], Door], float]] = {
    "images": (images, 0.35),
    "coco": (coco, 0.25),
    "yolo": (lambda folder: Door(write_yolo, read_form), 0.1),
    "voc": (lambda folder: Door(write_voc, read_form), 0.05),
    "configurations": (configurations, 0.15),
    "checkpoints": (checkpoints, 0.1),
}


def names_of_doors() -> Sequence[str]:
    """Return the names, for options."""
    return tuple(DOORS)
