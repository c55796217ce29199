"""COCO files of a train and a val split under other names than COCO 2017's, and the folders of the images."""

import json
import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from mtvit_core.errors import DataError

#: A word that names a split, alone between other words or digits.
_SPLIT = re.compile(
    r"(?<![a-z])(training|train|validation|valid|val|test)(?:(?=\d{4})|(?![a-z]))", re.IGNORECASE
)
_TRAIN, _VAL, _TEST = ("train", "training"), ("val", "valid", "validation"), ("test",)
#: Files of COCO's sets that hold neither boxes nor keypoints.
_OTHERS = ("captions_", "panoptic_", "stuff_", "image_info_", "maps_")
_PLACES = ("", "annotations", "json", "labels")
_FOLDERS = (
    "{split}", "images/{split}", "{split}/images", "{split}2017", "images/{split}2017", "images", "data", "",
)  # fmt: skip
_NAME = re.compile(rb'"(file_name|coco_url)"\s*:\s*("(?:[^"\\]|\\.)*")')
#: Sets of the field by a word of their files' names.
_TITLES = {
    "lvis": "LVIS", "crowdpose": "CrowdPose", "wholebody": "COCO-WholeBody", "halpe": "Halpe",
    "ap10k": "AP-10K", "mpii": "MPII in COCO's form", "instances": "COCO files", "keypoints": "COCO files",
}  # fmt: skip


@dataclass(frozen=True)
class _Pair:
    """The files of two splits, whose names differ in the word of the split."""

    pattern: str
    train: str
    val: str

    def file(self, root: Path, word: str) -> Path:
        return root / self.pattern.replace("{split}", word)


def named_splits(root: Path) -> dict[str, Any]:
    """Return the settings that read such a folder, none where it is no such folder.

    Raises:
        DataError: there are several pairs of files.
    """
    pairs = [pair for place in _PLACES for pair in _pairs(root, place)]
    posed = [pair for pair in pairs if "keypoints" in Path(pair.pattern).name.lower()]
    boxed = _first_of_numbered([pair for pair in pairs if pair not in posed])
    if len(boxed) > 1 or len(posed) > 1:
        names = ", ".join(pair.pattern for pair in (boxed if len(boxed) > 1 else posed))
        raise DataError(
            f"{root}: may be read by {names}; name one with coco.instances, and coco.train, coco.val."
        )
    if not boxed and not posed:
        return {}
    first = (boxed or posed)[0]
    same = [pair.pattern for pair in posed if boxed and (pair.train, pair.val) == (first.train, first.val)]
    return {
        "train": first.train,
        "val": first.val,
        "images": _images(root, first),
        "instances": first.pattern,
        "keypoints": same[0] if same else "",
    }


def title_of(settings: dict[str, Any]) -> str:
    """Return what a folder read by such settings is called."""
    name = f"{settings['instances']}".lower()
    return next((title for word, title in _TITLES.items() if word in name), "COCO files") + " of two splits"


def _pairs(root: Path, place: str) -> list[_Pair]:
    words: dict[str, list[str]] = {}
    for path in sorted((root / place).glob("*.json")):
        found = [m for m in _SPLIT.finditer(path.name) if not path.name.startswith(_OTHERS)]
        if len(found) == 1 and _is_object(path):
            pattern = f"{path.name[: found[0].start()]}{{split}}{path.name[found[0].end() :]}"
            words.setdefault(str(PurePosixPath(place) / pattern), []).append(found[0][0])
    pairs = []
    for pattern, there in words.items():
        train, val, test = (
            next((word for word in there if word.lower() in known), None) for known in (_TRAIN, _VAL, _TEST)
        )
        if train and (val or test):
            pairs.append(_Pair(pattern, train, val or test or ""))
    return pairs


def _is_object(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")


def _first_of_numbered(pairs: Sequence[_Pair]) -> list[_Pair]:
    """Of pairs that differ in a number only, as AP-10K's three splits, keep the first."""
    kept: dict[str, _Pair] = {}
    for pair in sorted(pairs, key=lambda pair: pair.pattern):
        kept.setdefault(re.sub(r"\d+(?=\.json$)", "#", pair.pattern), pair)
    return list(kept.values())


def _images(root: Path, pair: _Pair) -> str:
    """Find the folder below which the first images of both splits lie; the last resort is the root itself."""
    named = {word: _first_names(pair.file(root, word)) for word in (pair.train, pair.val)}
    for folder in _FOLDERS:
        if all(
            (root / folder.replace("{split}", word) / name).is_file()
            for word, names in named.items()
            for name in names
        ):
            return folder
    last = {word: [PurePosixPath(name).name for name in names] for word, names in named.items()}
    for folder in _FOLDERS:
        if all(
            (root / folder.replace("{split}", word) / n).is_file()
            for word, names in last.items()
            for n in names
        ):
            return folder
    return next((folder for folder in ("images", "data") if (root / folder).is_dir()), "")


def _first_names(path: Path, count: int = 5) -> list[str]:
    """Return the names of the first images of a file that may be too large to parse twice.

    Where entries have both a name and an address, the name counts.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        names, by_address = list[str](), list[str]()
        for match in _NAME.finditer(text):
            try:
                value = str(json.loads(match[2]))
            except ValueError:
                continue  # told where the file is read in earnest
            if match[1] == b"file_name":
                names.append(value.replace("\\", "/").lstrip("/"))
            elif value:
                by_address.append("/".join(urlsplit(value).path.split("/")[-2:]))
            if max(len(names), len(by_address)) == 2 * count:
                break
    return (names or by_address)[:count]
