"""Reading COCO files: whatever is wrong, the answer is a data set or a data error, nothing else."""

import copy

import pytest

from mtvit_core.errors import DataError
from mtvit_train.data.formats.coco import CocoConfig, read_coco
from support.training import tiny_coco


def places(node, path=()):
    """Every place of a document, as keys from the root."""
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def damaged(document, path, value):
    """A copy with another value at a place; ``damaged`` itself stands for removing the place."""
    document = copy.deepcopy(document)
    node = document
    for key in path[:-1]:
        node = node[key]
    if value is damaged:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return document


VALUES = (damaged, None, True, "x", -1, 0.5, 1e300, float("nan"), 10**400, [], {}, [[]], [None])


@pytest.mark.parametrize("name", ["instances", "keypoints"])
def test_any_damage_is_read_or_refused_by_a_data_error(tmp_path, name):
    files = tiny_coco.documents()
    tiny_coco.write(tmp_path)
    refused = 0
    for path in list(places(files[name]))[1:]:
        for value in VALUES:
            tiny_coco.write_annotations(tmp_path, {**files, name: damaged(files[name], path, value)})
            try:
                read_coco(tmp_path, "train", CocoConfig(degenerate="drop"))
            except DataError:
                refused += 1
    assert refused > 500
