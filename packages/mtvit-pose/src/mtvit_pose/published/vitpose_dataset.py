"""What a ViTPose was trained on: by what the user says, what its file holds, and its keypoints."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch

from mtvit_core.errors import CheckpointError
from mtvit_core.published.format import Choices
from mtvit_core.published.names import given_names
from mtvit_core.published.source import Source
from mtvit_core.sides import flip_pairs, same_name
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import KeypointSchema
from mtvit_pose.published.datasets import (
    CROWDPOSE,
    DATASETS,
    EXPERTS,
    PoseDataset,
    dataset_named,
    dataset_with,
)


@dataclass(frozen=True)
class Trained:
    """What a head was trained on.

    Attributes:
        categories: Its classes; one has keypoints.
        codec: How crops are cut, and keypoints drawn and read.
    """

    categories: Categories
    codec: Literal["udp", "msra"]

    @property
    def is_mirrored(self) -> bool:
        """Whether left and right of the keypoints are known, so that mirrored crops can be read."""
        (label,) = self.categories.keypoint_labels
        schema = self.categories[label].keypoints
        return schema is not None and bool(schema.flip_pairs)


def trained_alone(source: Source, choices: Choices, keypoints: int) -> Trained:
    """Tell what the one head of an official file was trained on.

    Raises:
        ConfigError: the user names an unknown data set.
        CheckpointError: what the user says is not what the file holds, or nothing tells the data set.
    """
    told, text = _configured(source)
    if choices.dataset is None:
        dataset = told or dataset_with(keypoints, source.where)
    else:
        dataset = dataset_named(choices.dataset, source.where)
    if told is not None and told.categories != dataset.categories:
        raise CheckpointError(
            f"source {source.where}: the configuration in it trains on {told.name}, not on {dataset.name}; "
            "leave dataset out."
        )
    check_count(source, dataset, keypoints)
    codec = dataset.codec
    if told is not None:
        codec = "udp" if re.search(r"use_udp\s*=\s*True", text) else "msra"
    return Trained(dataset.categories, codec)


def check_count(source: Source, dataset: PoseDataset, keypoints: int) -> None:
    """Refuse a data set with another number of keypoints than the head draws.

    Raises:
        CheckpointError: it has.
    """
    if keypoints != dataset.keypoints:
        raise CheckpointError(
            f"source {source.where}: its head draws {keypoints} keypoints, but {dataset.name} has "
            f"{dataset.keypoints}; name the data set that it was trained on."
        )


def _configured(source: Source) -> tuple[PoseDataset | None, str]:
    """The one data set of the configuration that mmcv keeps in its files, and that configuration."""
    meta = source.beside.get("meta")
    text = str(meta.get("config", "")) if isinstance(meta, Mapping) else ""
    classes = set(re.findall(r"type\s*=\s*['\"](\w+)['\"]", text))
    found = [dataset for dataset in DATASETS if classes & set(dataset.classes)]
    return (found[0] if len(found) == 1 else None), text


def merged_expert(source: Source, shared: str, experts: Mapping[int, str]) -> PoseDataset | None:
    """Tell whose expert a file holds that was split from ViTPose+: it is the last rows of the second layer.

    Args:
        source: The file.
        shared: Key of that layer's weight in one block.
        experts: Keys of the experts' weights in that block, by their number.

    Returns:
        The data set; None where the layer is no expert's, as after further training.
    """
    if not experts:
        return None
    whole = source.tensors[shared].read()
    for number, key in sorted(experts.items()):
        rows = source.tensors[key].read()
        if number < len(EXPERTS) and torch.equal(whole[len(whole) - len(rows) :], rows):
            return EXPERTS[number]
    return None


def named_keypoints(source: Source, choices: Choices, keypoints: int) -> Trained:
    """Tell what a head of transformers draws, whose processor cuts and reads crops by UDP whatever it is.

    Names are those of ``id2label``, the skeleton is ``edges``; a head of 17 keypoints without names is
    COCO's, as are all that transformers publishes.

    Raises:
        ConfigError: the user names an unknown data set.
        CheckpointError: the names do not fit the head, or are those of another data set than the user says.
    """
    given = given_names(source, keypoints, "keypoints")
    known = next((dataset for dataset in (*EXPERTS, CROWDPOSE) if _is_named(dataset, given)), None)
    if choices.dataset is not None:
        dataset = dataset_named(choices.dataset, source.where)
        check_count(source, dataset, keypoints)
        if known is not None and known.categories != dataset.categories:
            raise CheckpointError(
                f"source {source.where}: id2label in its config.json names the keypoints of {known.name}, "
                f"not those of {dataset.name}; leave dataset out."
            )
        known = dataset
    counts = [dataset.keypoints for dataset in DATASETS]
    if known is None and not given and keypoints in counts:
        coco = EXPERTS[0]
        known = coco if keypoints == coco.keypoints else dataset_with(keypoints, source.where)
    if known is not None:
        return Trained(known.categories, "udp")
    names = tuple(given.get(i, f"keypoint {i}") for i in range(keypoints))
    schema = KeypointSchema(names, _edges(source, keypoints), flip_pairs(names))
    return Trained(Categories((Category(1, "person", schema),)), "udp")


def _is_named(dataset: PoseDataset, given: Mapping[int, str]) -> bool:
    (label,) = dataset.categories.keypoint_labels
    schema = dataset.categories[label].keypoints
    assert schema is not None
    if sorted(given) != list(range(len(schema.names))):
        return False
    return all(same_name(name, given[i]) for i, name in enumerate(schema.names))


def _edges(source: Source, keypoints: int) -> tuple[tuple[int, int], ...]:
    found: Any = source.config.get("edges") or []
    pairs = found if isinstance(found, list) else [found]
    for pair in pairs:
        is_pair = isinstance(pair, list) and len(pair) == 2
        if not is_pair or not all(type(i) is int and 0 <= i < keypoints for i in pair):
            raise CheckpointError(
                f"source {source.where}: its config.json has edges {pair!r:.40}; pairs of keypoints from 0 "
                f"to {keypoints - 1} are known here."
            )
    return tuple((a, b) for a, b in pairs)
