"""A batch as nested tensors and plain data, and back."""

from collections.abc import Mapping
from typing import Any

from mtvit_core.structures.annotations import Annotations, TrueImageLabels
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import ImageMeta


def batch_state(batch: Batch) -> dict[str, Any]:
    """Return a batch as nested tensors and plain data."""
    return {
        "images": batch.images,
        "annotations": [_plain(part) for part in batch.annotations],
        "meta": [vars(part) for part in batch.meta],
        "known": dict(batch.known),
    }


def batch_of(state: Mapping[str, Any]) -> Batch:
    """Return the batch that ``batch_state`` described."""
    return Batch(
        images=state["images"],
        annotations=tuple(_annotations(part) for part in state["annotations"]),
        meta=tuple(ImageMeta(**part) for part in state["meta"]),
        known={int(depth): tokens for depth, tokens in state["known"].items()},
    )


def _plain(part: Annotations) -> dict[str, Any]:
    labels = part.image_labels
    return {**vars(part), "image_labels": None if labels is None else vars(labels)}


def _annotations(state: Mapping[str, Any]) -> Annotations:
    labels = state.get("image_labels")
    return Annotations(**{**state, "image_labels": None if labels is None else TrueImageLabels(**labels)})
