"""Pascal VOC's form: an XML file for each image; labelImg, CVAT, Roboflow and others write it.

Boxes of the original sets count pixels from 1 to the last one, inclusive; other tools write corners from 0:

    VOC2007 and its like    x0 = xmin - 1    x1 = xmax
    others                  x0 = xmin        x1 = xmax

Source: Everingham et al. 2010, and the development kit of VOC2012.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mtvit_core.errors import DataError
from mtvit_core.structures.annotations import SplitName
from mtvit_core.structures.image_files import IMAGE_SUFFIXES
from mtvit_train.data.formats.faults import Faults
from mtvit_train.data.formats.tools.translation import (
    Labelled,
    Plan,
    Translated,
    common_folder,
    document_of,
    sizes_of,
    text_of,
)
from mtvit_train.data.image_folders import images_below
from mtvit_train.data.near_names import near_name

#: Names of the lists and of the folders of validation images.
_VAL = ("val", "valid", "validation")


@dataclass(frozen=True)
class _Files:
    """Which XML files a split has, and where images are looked for."""

    root: Path
    splits: Mapping[str, Sequence[Path]]
    shared: bool
    said: str


def voc(root: Path) -> Plan | None:
    """Return how such a folder is read; None where it is no such folder."""
    files = _of_lists(root) or _of_folders(root)
    if files is None:
        return None

    def read(split: SplitName, faults: Faults) -> Translated:
        return _translate(files, "train" if files.shared else split, faults)

    return Plan(f"{root}: Pascal VOC's XML files, {files.said}", files.shared, read)


def _of_lists(root: Path) -> _Files | None:
    """``Annotations`` with ``ImageSets/Main``; without lists, one split."""
    folder = root / "Annotations"
    every = sorted(folder.rglob("*.xml")) if folder.is_dir() else []
    if not every:
        return None
    lists = {path.stem.lower(): path for path in sorted((root / "ImageSets" / "Main").glob("*.txt"))}
    val = next((lists[name] for name in _VAL if name in lists), None)
    if "train" not in lists or val is None:
        return _Files(root, {"train": every}, True, "one split")
    by_stem = {path.relative_to(folder).with_suffix("").as_posix(): path for path in every}
    named = {"train": lists["train"], "val": val}
    splits = {split: _listed(path, by_stem) for split, path in named.items()}
    return _Files(root, splits, False, f"ImageSets/Main/{lists['train'].name} and {val.name}")


def _listed(path: Path, by_stem: Mapping[str, Path]) -> list[Path]:
    stems = [line.split()[0] for line in text_of(path).splitlines() if line.strip()]
    lacking = [stem for stem in stems if stem not in by_stem]
    if lacking:
        raise DataError(
            f"{path}: names {lacking[0]!r}, for which there is no XML file ({len(lacking)} of {len(stems)}); "
            f"add it or correct the list.{near_name(lacking[0], by_stem, 'correct the list')}"
        )
    return [by_stem[stem] for stem in stems]


def _of_folders(root: Path) -> _Files | None:
    """XML files beside the images, in a folder per split or in one."""
    if not root.is_dir():
        return None
    val = next((root / name for name in _VAL if any((root / name).glob("*.xml"))), None)
    train = sorted((root / "train").glob("*.xml"))
    if train and val is not None:
        return _Files(
            root, {"train": train, "val": sorted(val.glob("*.xml"))}, False, f"train and {val.name}"
        )
    every = train or [path for place in (root, root / "images") for path in sorted(place.glob("*.xml"))]
    found = [path for path in every[:1] if b"<annotation" in path.read_bytes()[:400]]
    return _Files(root, {"train": every}, True, "one split") if found else None


def _translate(files: _Files, split: str, faults: Faults) -> Translated:
    trees: dict[Path, ElementTree.Element] = {}
    for path in dict.fromkeys(path for listed in files.splits.values() for path in listed):
        with faults:
            trees[path] = _parse(path)
    names = sorted(
        {_text(one, "name", path) for path, tree in trees.items() for one in tree.findall("object")}
    )
    if not names:
        raise DataError(f"{files.root}: no XML file names an object; a data set needs at least one.")
    ids, first = {name: number for number, name in enumerate(names, start=1)}, _first_pixel(trees)
    images: dict[Path, Path] = {}
    for path in files.splits[split]:
        with faults:
            if path in trees:
                images[_image_of(path, trees[path], files.root)] = path
    sizes = sizes_of(list(images), faults)
    found = [_labelled(image, images[image], trees[images[image]], ids, first, faults) for image in sizes]
    if not found:
        raise DataError(f"{files.root}: no image of the {split} split is left; fix the faults above first.")
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    translated = document_of(files.root, common_folder(list(sizes)), categories, found, sizes)
    return _with_notes(translated, first)


def _with_notes(translated: Translated, first: int) -> Translated:
    document = translated.document
    hard = sum(entry["iscrowd"] for entry in document.content["annotations"])
    lines = [f"{document.path}: pixels are counted from {first}."] if first else []
    if hard:
        lines.append(
            f"{document.path}: {hard} objects marked as difficult are neither trained nor scored, as in VOC."
        )
    return replace(translated, document=replace(document, notes=tuple(lines)))


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path}: malformed XML: {error}; write the file again or restore it.") from None


def _first_pixel(trees: Mapping[Path, ElementTree.Element]) -> int:
    """Return 1 where all files are VOC's own and none has a corner at 0, else 0."""
    own = all("voc" in (tree.findtext("source/database") or "").lower() for tree in trees.values())
    corners = [
        box.findtext(key)
        for tree in trees.values()
        for box in tree.iterfind("object/bndbox")
        for key in ("xmin", "ymin")
    ]
    return int(own and not any((corner or "").strip() in ("0", "0.0") for corner in corners))


def _image_of(path: Path, tree: ElementTree.Element, root: Path) -> Path:
    """Find the image of an XML file: of its stem, since ``filename`` may lie; else of that name."""
    folders = [path.parent, root / "JPEGImages", root / "images", root]
    if root / "Annotations" in path.parents:
        inner = path.relative_to(root / "Annotations").parent
        folders = [root / "JPEGImages" / inner, *folders]
    named = tree.findtext("filename") or ""
    for folder in dict.fromkeys(folders):
        for suffix in (*IMAGE_SUFFIXES, *(s.upper() for s in IMAGE_SUFFIXES)):
            if (folder / f"{path.stem}{suffix}").is_file():
                return folder / f"{path.stem}{suffix}"
        if named and (folder / Path(named).name).is_file():
            return folder / Path(named).name
    place = next((folder for folder in folders if folder.is_dir()), root)
    there = [one.relative_to(place).as_posix() for one in images_below(place)]
    near = near_name(named or path.stem, there, "correct the name, or rename the image")
    raise DataError(
        f"{path}: there is no image called {path.stem!r}, nor {named!r}; put it into {folders[0]}.{near}"
    )


def _labelled(
    image: Path, path: Path, tree: ElementTree.Element, ids: Mapping[str, int], first: int, faults: Faults
) -> Labelled:
    objects, places = list[dict[str, Any]](), list[str]()
    for number, one in enumerate(tree.findall("object"), start=1):
        where = f"{path}: object {number}"
        with faults:
            x0, y0, x1, y1 = _corners(one, where)
            objects.append(
                {
                    "category_id": ids[_text(one, "name", path)],
                    "bbox": [x0 - first, y0 - first, x1 - x0 + first, y1 - y0 + first],
                    "iscrowd": int((one.findtext("difficult") or "0").strip() in ("1", "true", "True")),
                }
            )
            places.append(where)
    return Labelled(image, objects, places)


def _corners(one: ElementTree.Element, where: str) -> tuple[float, ...]:
    texts = [one.findtext(f"bndbox/{key}") for key in ("xmin", "ymin", "xmax", "ymax")]
    try:
        return tuple(float(text or "") for text in texts)
    except ValueError:
        raise DataError(f"{where}: bndbox is {texts!r}; give xmin, ymin, xmax and ymax as numbers.") from None


def _text(element: ElementTree.Element, key: str, path: Path) -> str:
    text = (element.findtext(key) or "").strip()
    if not text:
        raise DataError(f"{path}: an object has no {key}; add it.")
    return text
