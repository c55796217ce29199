"""Data sets as annotation tools write them, damaged: Ultralytics' and Pascal VOC's."""

from pathlib import Path
from random import Random

from benchmarks.robustness.fuzzing.mutations import mutated
from PIL import Image

from mtvit_train.build.data import read_split
from mtvit_train.config.run import RunConfig

YAML = """path: .
train: images/train
val: images/train
names: [cat, person]
kpt_shape: [2, 3]
flip_idx: [1, 0]
"""
ROWS = "0 0.5 0.5 0.4 0.3 0.4 0.4 2 0.6 0.6 1\n1 0.25 0.3 0.2 0.2 0.2 0.2 2 0.3 0.3 0\n"
OUTLINES = "0 0.1 0.1 0.6 0.1 0.6 0.7\n1 0.5 0.5 0.2 0.2\n"
VOC = """<annotation><folder>JPEGImages</folder><filename>a.png</filename>
<size><width>64</width><height>48</height><depth>3</depth></size>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>4</xmin><ymin>6</ymin><xmax>40</xmax><ymax>30</ymax></bndbox></object></annotation>
"""


def write_yolo(root: Path, random: Random) -> None:
    """An Ultralytics data set of poses or of outlines, one file of which is damaged."""
    poses = random.random() < 0.5
    text = YAML if poses else "".join(YAML.splitlines(keepends=True)[:4])
    (root / "data.yaml").write_text(text)
    for folder in ("images", "labels"):
        (root / folder / "train").mkdir(parents=True, exist_ok=True)
    for name in "ab":
        Image.new("RGB", (64, 48), "teal").save(root / "images" / "train" / f"{name}.png")
        (root / "labels" / "train" / f"{name}.txt").write_text(ROWS if poses else OUTLINES)
    _damage(random.choice([root / "data.yaml", root / "labels" / "train" / "a.txt"]), random)


def write_voc(root: Path, random: Random) -> None:
    """A Pascal VOC data set, one file of which is damaged."""
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).mkdir(exist_ok=True)
    for name in "ab":
        Image.new("RGB", (64, 48), "teal").save(root / "JPEGImages" / f"{name}.png")
        (root / "Annotations" / f"{name}.xml").write_text(VOC.replace("a.png", f"{name}.png"))
    _damage(root / "Annotations" / "a.xml", random)


def _damage(file: Path, random: Random) -> None:
    file.write_bytes(mutated(file.read_bytes(), random))


def read(root: Path) -> None:
    """Read both splits as a run does, by what the folder looks like."""
    for split in ("train", "val"):
        packed = read_split(RunConfig(data=str(root)), root, split)  # type: ignore[arg-type]  # one of the two
        for image in range(len(packed)):
            packed.original(image)
