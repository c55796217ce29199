"""The truth of pixels from masks, and what evaluators of maps keep of images."""

import pickle
from dataclasses import replace

import pytest
import torch

from mtvit_core.errors import DataError
from mtvit_core.evaluation.maps.map_evaluator import MapEvaluator, true_segments
from mtvit_core.evaluation.maps.panoptic import PanopticEvaluator
from mtvit_core.evaluation.maps.semantic import SemanticEvaluator
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import CategoryMap
from support.models.segment_cases import CATEGORIES, STUFF, annotate, random_case, result


def row(*columns: int) -> torch.Tensor:
    """A mask of one row of eight pixels."""
    mask = torch.zeros(1, 8, dtype=torch.bool)
    mask[0, list(columns)] = True
    return mask


def masked() -> Annotations:
    """Two cats that overlap, a dog, a crowd of dogs, sky, and a cat that others cover."""
    masks = torch.stack([row(0, 1, 2), row(2, 3), row(4), row(5), row(6), row(2)])
    truth = annotate(None, masks, [0, 0, 1, 1, 2, 0])
    truth.is_crowd[3] = True
    return truth


def test_masks_tell_segments_where_one_alone_claims_a_pixel() -> None:
    truth = true_segments(masked(), 4, STUFF)
    assert truth is not None
    assert truth.ids.tolist() == [[1, 1, 0, 2, 3, 0, 0, -1]]
    assert truth.labels.tolist() == [0, 0, 1]
    assert truth.is_crowd.tolist() == [False] * 3
    assert truth.known.tolist() == [True, True, False, False]


def test_classes_that_nobody_annotated_are_not_known() -> None:
    partly = replace(masked(), annotated=torch.tensor([True, False, True, True]))
    truth = true_segments(partly, 4)
    assert truth is not None
    assert truth.known.tolist() == [True, False, True, True]
    assert truth.ids.tolist() == [[1, 1, 0, 2, 0, 0, 3, -1]]


def test_an_image_without_objects_is_background_and_one_without_masks_is_not_labelled() -> None:
    truth = true_segments(annotate(None, torch.zeros(0, 2, 3, dtype=torch.bool)), 4)
    assert truth is not None
    assert truth.ids.tolist() == [[-1] * 3] * 2
    assert true_segments(annotate(None), 4) is None


def test_segments_of_the_data_set_come_first() -> None:
    segments, _ = random_case(0)
    assert true_segments(replace(masked(), segments=segments), 4) is segments


KINDS = {"seg-panoptic": PanopticEvaluator, "seg-semantic": SemanticEvaluator}


def filled(name: str, numbers: range) -> MapEvaluator:
    """An evaluator that has seen some images."""
    evaluator: MapEvaluator = KINDS[name](name, CATEGORIES, STUFF)
    for number in numbers:
        truth, found = random_case(number)
        meta = ImageMeta.whole(24, 30, number, f"{number}.png")
        evaluator.update([result(found, number, name)], [annotate(truth)], [meta])
    return evaluator


@pytest.mark.parametrize("name", KINDS)
def test_parts_of_several_processes_are_the_whole(name: str) -> None:
    whole, parts = filled(name, range(8)), [filled(name, range(5)), filled(name, range(3, 8))]
    states = pickle.loads(pickle.dumps([part.state() for part in parts]))
    merged = filled(name, range(20, 22))
    merged.merge(states[::-1])
    assert merged.compute() == whole.compute()
    assert merged.details(0.3) == whole.details(0.3)
    assert len(pickle.dumps(whole.state())) < 8 * 24 * 30  # fewer bytes than pixels


@pytest.mark.parametrize("name", KINDS)
def test_what_does_not_fit_is_refused(name: str) -> None:
    truth, found = random_case(0)
    evaluator = filled(name, range(1))
    with pytest.raises(DataError) as caught:
        evaluator.update(
            [result(found, 0, name)], [annotate(truth)], [ImageMeta.whole(24, 30, 0, "other.png")]
        )
    assert str(caught.value) == (
        f"evaluation of {name}: image id 0 is used for both '0.png' and 'other.png'; ids must be unique."
    )
    others = Categories(tuple(Category(category.id + 100, category.name) for category in CATEGORIES))
    assert found.segment_ids is not None
    strange = CategoryMap.panoptic(found.segment_ids, found.segments, others)
    with pytest.raises(DataError) as caught:
        evaluator.update([result(strange, 5, name)], [annotate(truth)], [ImageMeta.whole(24, 30, 5)])
    assert str(caught.value).startswith(f"evaluation of {name}: the map holds category id 1")
    assert str(caught.value).endswith(
        ", which the annotations do not have; evaluate a model on the categories it was trained for."
    )


def test_they_ask_for_segments() -> None:
    assert filled("seg-panoptic", range(0)).reads == {"segments"}
