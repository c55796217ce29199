"""What tools and sets of the field write otherwise than COCO, in files of COCO's form, and how it is read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from mtvit_train.data.formats.documents.document import Document
from mtvit_train.data.formats.documents.image_entries import ABSENT
from mtvit_train.data.formats.documents.known_points import (
    COCO,
    CROWD_POSE,
    HALPE,
    HALPE_BODY,
    WHOLE_BODY,
    KnownPoints,
    known_points,
)

_Entry = dict[str, Any]
#: COCO-WholeBody's lists of points after the body's, with how many each has.
_PARTS = (("foot", 6), ("face", 68), ("lefthand", 21), ("righthand", 21))


def adapted(document: Document) -> Document:
    """Return a document in COCO's own terms, with a line for each thing that was read otherwise.

    What is malformed is left as it is: the check of the document names it.
    """
    content = document.content
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) and all(isinstance(entry, dict) for entry in content[key])
        for key in ("images", "annotations", "categories")
    ):
        return document
    ids = [entry.get("id") for entry in content["categories"]]
    ids += [entry.get("category_id") for entry in content["annotations"]]
    if not all(isinstance(number, int | str | None) for number in ids):
        return document
    for adapt in _DIALECTS:
        document = adapt(document)
    return document


def _whole_body(document: Document) -> Document:
    """COCO-WholeBody: lists of feet, face and hands beside the body's."""
    listed = document.content["annotations"]
    if not any("foot_kpts" in entry and "face_kpts" in entry for entry in listed):
        return document
    joined = [{**entry, "keypoints": _all_parts(entry)} for entry in listed]
    owners = {entry.get("category_id") for entry in listed if entry.get("keypoints")}
    line = (
        "points of body, feet, face and hands are read as one list of 133; the boxes of parts are not used."
    )
    return _with(document, joined, owners, WHOLE_BODY, f"{document.path}: COCO-WholeBody: {line}")


def _all_parts(entry: _Entry) -> Any:
    points = entry.get("keypoints")
    if not isinstance(points, list) or not points:
        return points
    for name, count in _PARTS:
        part = entry.get(f"{name}_kpts")
        given = isinstance(part, list) and part and entry.get(f"{name}_valid", True)
        points = points + (list(part or ()) if given else [0] * 3 * count)
    return points


def _halpe(document: Document) -> Document:
    """Halpe, and others who give points without names: known by how many there are."""
    listed = document.content["annotations"]
    named = {entry.get("id"): entry.get("keypoints") for entry in document.content["categories"]}
    posed = [entry for entry in listed if isinstance(entry.get("keypoints"), list) and entry["keypoints"]]
    counts = {len(entry["keypoints"]) // 3 for entry in posed}
    known = {len(k.names): k for k in (COCO, HALPE, HALPE_BODY, WHOLE_BODY, CROWD_POSE)}
    if len(counts) != 1 or not counts & known.keys():
        return document
    found, owners = known[counts.pop()], {entry.get("category_id") for entry in posed}
    bare = {i for i in owners if i in named and not named[i]}
    other = {i for i in owners if isinstance(named.get(i), list) and len(named[i]) != len(found.names)}
    if not (bare or (other and found is HALPE)):
        return document
    line = (
        f"{document.path}: keypoints have no names, or others; the {len(found.names)} of {found.title} are "
        "taken."
    )
    loose = document.loose_names or found is HALPE  # its two splits lie in folders of other sets
    return replace(_with(document, listed, bare | other, found, line), loose_names=loose)


def _with(
    document: Document, listed: list[_Entry], owners: set[Any], known: KnownPoints, line: str
) -> Document:
    """Return a document whose categories have the keypoints of a known set."""
    skeleton = [[a + 1, b + 1] for a, b in known.bones]
    own = {"keypoints": list(known.names), "skeleton": skeleton, "sigmas": list(known.sigmas)}
    categories = [
        {**entry, **own} if entry.get("id") in owners else entry for entry in document.content["categories"]
    ]
    content = {**document.content, "annotations": listed, "categories": categories}
    return replace(document, content=content, notes=(*document.notes, line))


def _areas(document: Document) -> Document:
    """CrowdPose and AI Challenger: without areas, a share of the box, as their own evaluations have it."""
    shares = {}
    for entry in document.content["categories"]:
        names = entry.get("keypoints")
        sound = isinstance(names, list) and all(isinstance(name, str) for name in names)
        known = known_points(names) if sound and names else None
        if known is not None and known.area_share < 1:
            shares[json.dumps(entry.get("id"))] = known
    lacking = [e for e in document.content["annotations"] if e.get("area") is None and _is_box(e.get("bbox"))]
    lacking = [entry for entry in lacking if json.dumps(entry.get("category_id")) in shares]
    if not lacking:
        return document
    chosen = {id(entry) for entry in lacking}
    known = shares[json.dumps(lacking[0].get("category_id"))]
    listed = [
        {**e, "area": known.area_share * e["bbox"][2] * e["bbox"][3]} if id(e) in chosen else e
        for e in document.content["annotations"]
    ]
    line = (
        f"{document.path}: {known.title} gives no areas; {known.area_share:g} of the box is taken, as in its "
        "own evaluation."
    )
    content = {**document.content, "annotations": listed}
    return replace(document, content=content, notes=(*document.notes, line))


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(type(v) in (int, float) for v in value)


def _label_studio(document: Document) -> Document:
    """Label Studio: images by address or by a path on its own machine; the last part is meant."""
    info = document.content.get("info")
    if not isinstance(info, dict) or info.get("contributor") != "Label Studio":
        return document
    images = [
        {**entry, "file_name": _last_of_address(entry["file_name"])}
        if isinstance(entry.get("file_name"), str)
        else entry
        for entry in document.content["images"]
    ]
    return replace(document, content={**document.content, "images": images}, loose_names=True)


def _last_of_address(name: str) -> str:
    """Return the last part of a name that leads out of the folder, and other names as they are."""
    slashed = name.replace("\\", "/")
    address = urlsplit(slashed)
    if address.query:  # /data/local-files/?d=folder/a.png
        slashed = parse_qs(address.query).get("d", [address.path])[0]
    elif "://" in name:
        slashed = unquote(address.path)
    leads_out = address.query or "://" in name or slashed.startswith("/") or ".." in slashed.split("/")
    return PurePosixPath(slashed).name if leads_out else name


def _lvis(document: Document) -> Document:
    """LVIS: says which categories an image was searched for; the image entries read its lists."""
    lists = sum(ABSENT in entry for entry in document.content["images"])
    if not lists:
        return document
    line = (
        f"{document.path}: {lists} images list categories as in LVIS: a category counts as annotated where "
        "it has an object or is in neg_category_ids, but not where it is in not_exhaustive_category_ids."
    )
    return replace(document, notes=(*document.notes, line))


def _brushed(document: Document) -> Document:
    """CVAT: every mask that was brushed is marked as a crowd, though it is of one object."""
    info, listed = document.content.get("info"), document.content["annotations"]
    bare = isinstance(info, dict) and "contributor" in info and not any(info.values())
    if not bare or not all(image.get("date_captured") == 0 for image in document.content["images"]):
        return document
    brushed = sum(entry.get("iscrowd") == 1 for entry in listed)
    if not brushed:
        return document
    line = (
        f"{document.path}: {brushed} masks are marked as crowds, as CVAT marks every brushed mask; they are "
        "read as objects."
    )
    content = {**document.content, "annotations": [{**entry, "iscrowd": 0} for entry in listed]}
    return replace(document, content=content, notes=(*document.notes, line))


def _roots(document: Document) -> Document:
    """Roboflow: a made-up category above all others, without an object of its own."""
    listed = document.content["categories"]
    above = {entry.get("supercategory") for entry in listed if isinstance(entry.get("supercategory"), str)}
    owners = [entry.get("category_id") for entry in document.content["annotations"]]
    roots = [
        entry
        for entry in listed
        if entry.get("supercategory") == "none"
        and str(entry.get("name")) in above
        and entry.get("id") not in owners
    ]
    if not roots or len(roots) == len(listed):
        return document
    line = (
        f"{document.path}: category {roots[0]['name']!r} only stands above others, as Roboflow writes it; it "
        "is left out."
    )
    content = {**document.content, "categories": [entry for entry in listed if entry not in roots]}
    return replace(document, content=content, notes=(*document.notes, line))


_DIALECTS: tuple[Callable[[Document], Document], ...] = (
    _label_studio,
    _brushed,
    _roots,
    _whole_body,
    _halpe,
    _areas,
    _lvis,
)
