"""Pictures of a run as single files with captions, which the report shows."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mtvit_core.files import whole_file, write_text
from mtvit_train.state.run_files import PICTURES

#: Longer side at most, in pixels, and JPEG quality: sharp on a page, and some 30 kB each.
_SIDE, _QUALITY = 560, 85
#: What the names of galleries of features begin with; the update follows.
FEATURES = "features-"


@dataclass(frozen=True)
class Exhibit:
    """Pictures that belong together, such as truth and prediction of one image.

    Attributes:
        caption: What they show; may be empty.
        pictures: The pictures, from left to right.
    """

    caption: str
    pictures: tuple[Image.Image, ...]


@dataclass(frozen=True)
class Shown:
    """An exhibit on disk.

    Attributes:
        caption: What it shows.
        files: Its pictures.
    """

    caption: str
    files: tuple[Path, ...]


def save_gallery(out: Path, name: str, exhibits: Sequence[Exhibit]) -> None:
    """Write the pictures and captions of one gallery.

    Args:
        out: The run folder.
        name: Name of the gallery, one word.
        exhibits: What it shows.
    """
    folder = out / PICTURES
    folder.mkdir(exist_ok=True)
    index = []
    for number, exhibit in enumerate(exhibits):
        files = [f"{name}-{number:02}-{place}.jpg" for place in range(len(exhibit.pictures))]
        for file, picture in zip(files, exhibit.pictures, strict=True):
            with whole_file(folder / file) as partial:
                _small(picture).save(partial, quality=_QUALITY)
        index.append({"caption": exhibit.caption, "files": files})
    write_text(folder / f"{name}.json", json.dumps(index, indent=2) + "\n")


def feature_galleries(out: Path) -> list[str]:
    """Return the names of the galleries of features, in the order of their updates."""
    return sorted(path.stem for path in (out / PICTURES).glob(f"{FEATURES}*.json"))


def read_gallery(out: Path, name: str) -> tuple[Shown, ...]:
    """Return what a gallery shows, as far as its files are there; nothing where there is no such gallery."""
    index = out / PICTURES / f"{name}.json"
    if not index.is_file():
        return ()
    entries = json.loads(index.read_text(encoding="utf-8"))
    shown = [
        Shown(entry["caption"], tuple(index.parent / file for file in entry["files"])) for entry in entries
    ]
    return tuple(exhibit for exhibit in shown if all(file.is_file() for file in exhibit.files))


def _small(picture: Image.Image) -> Image.Image:
    scale = min(1.0, _SIDE / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
