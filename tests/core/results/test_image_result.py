"""What is said of one image: objects, maps, labels; joined, selected, and as JSON."""

import json

import pytest
import torch

from mtvit_core.results.image_labels import ImageLabels
from mtvit_core.results.image_result import ImageResult, merged
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.pixel_maps import VOID, CategoryMap, DenseMap, Segment
from support.models.link_cases import det, seg

CATEGORIES = Categories((Category(7, "cat"), Category(3, "road"), Category(0, "sky")))
BOX = (10.0, 10.0, 40.0, 50.0)
AT = ImageMeta.whole(2, 3, image_id=5, file_name="a.png")


def full() -> ImageResult:
    """A result of every kind."""
    depth = DenseMap(torch.arange(6.0).view(1, 2, 3), ("depth",))
    classes = CategoryMap.semantic(torch.tensor([[0, 1, 2], [VOID, 1, 0]]), CATEGORIES)
    labels = ImageLabels.of(torch.tensor([0.25, 0.75, 0.5]), CATEGORIES)
    return ImageResult(
        ImageResult.empty(AT, CATEGORIES).instances,
        {"depth": depth, "seg-semantic": classes},
        {"presence": labels},
    )


def test_it_has_the_length_the_rows_and_the_fields_of_its_objects() -> None:
    objects = det(BOX, 0.75)
    found = ImageResult(objects)
    assert len(found) == len(list(found)) == 1
    assert torch.equal(found.boxes, objects.boxes)
    assert torch.equal(next(iter(found)).scores, found.scores)
    assert (found.names, found.tasks, found.rles) == (objects.names, objects.tasks, objects.rles)
    assert found[torch.tensor([False])].tasks == ()
    assert (found.height, found.width, found.image_id) == (objects.height, objects.width, objects.image_id)


def test_category_ids_are_those_of_the_data_set() -> None:
    values = full().maps["seg-semantic"]
    assert isinstance(values, CategoryMap)
    assert values.category_ids.tolist() == [[7, 3, 0], [VOID, 3, 7]]


def test_segments_tell_the_category_of_every_pixel() -> None:
    segments = [Segment(1, 0, 0.9, 2, is_stuff=False), Segment(2, 2, 0.8, 3, is_stuff=True)]
    values = CategoryMap.panoptic(torch.tensor([[1, 1, 2], [0, 2, 2]]), segments, CATEGORIES)
    assert values.category_ids.tolist() == [[7, 7, 0], [VOID, 0, 0]]
    assert values.to_json()["segments_info"] == [
        {"id": 1, "category": "cat", "category_id": 7, "score": 0.9, "area": 2, "isthing": 1},
        {"id": 2, "category": "sky", "category_id": 0, "score": 0.8, "area": 3, "isthing": 0},
    ]


def test_a_map_without_segments_is_void() -> None:
    values = CategoryMap.panoptic(torch.zeros(2, 3, dtype=torch.int64), [], CATEGORIES)
    assert values.category_ids.tolist() == [[VOID] * 3] * 2


def test_labels_are_ranked_and_cut() -> None:
    labels = full().labels["presence"]
    assert labels.names == ("road", "sky", "cat")
    assert labels.scores.tolist() == [0.75, 0.5, 0.25]
    assert len(labels.above(0.5)) == 2
    assert full().above(0.6).labels["presence"].names == ("road",)


def test_what_one_task_said() -> None:
    of_seg = full().of("seg")
    assert (set(of_seg.maps), set(of_seg.labels)) == ({"seg-semantic"}, set())
    assert set(full().of("presence").labels) == {"presence"}
    assert not full().of("se").maps


def test_several_results_of_an_image_become_one() -> None:
    both = merged(
        [
            ImageResult(det(BOX)),
            ImageResult(seg(BOX)),
        ]
    )
    assert both.tasks == ("det", "seg")
    assert set(merged([full(), full().of("depth")]).maps) == {"depth", "seg-semantic"}


def test_json_tells_what_maps_are_and_leaves_out_what_is_not_there() -> None:
    told = full().to_json()
    assert told["maps"] == {
        "depth": {"kind": "dense", "channels": ["depth"]},
        "seg-semantic": {
            "kind": "semantic",
            "void": VOID,
            "categories": [{"id": 7, "name": "cat"}, {"id": 3, "name": "road"}, {"id": 0, "name": "sky"}],
        },
    }
    assert told["labels"]["presence"][0] == {"category": "road", "category_id": 3, "score": 0.75}
    assert (told["image_id"], told["file_name"], told["objects"]) == (5, "a.png", [])
    assert json.loads(json.dumps(told)) == told
    assert {"maps", "labels"}.isdisjoint(ImageResult(det(BOX)).to_json())


@pytest.mark.parametrize("name", ["b.png", ""])
def test_another_name(name: str) -> None:
    assert (full().named(9, name).image_id, full().named(9, name).file_name) == (9, name)
