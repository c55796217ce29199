"""Figures in the docs are those of the code and of the data."""

import re
from pathlib import Path

import numpy as np
import pytest

from mtvit_core.backbones import attention
from mtvit_core.heads import proposals
from mtvit_core.losses import matching
from mtvit_core.structures.image_files import MAX_PIXELS
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.scenes.layout import LEAST_VISIBLE, TRIES
from mtvit_train.scenes.scene import CATEGORIES, LARGEST_SIZE, SMALLEST_SIZE, render_scene
from support.commands.doc_pages import DOCS, rows, sections, text_of


def test_figures_of_data_md() -> None:
    text = re.sub(r"\s+", " ", text_of("data.md"))
    assert f"at most {MAX_PIXELS} pixels" in text
    assert f"from {SMALLEST_SIZE} to {LARGEST_SIZE} pixels a side" in text
    assert f"less than {LEAST_VISIBLE} of its pixels" in text
    assert f"after {TRIES} tries" in text
    listed = [(int(id_), name) for id_, name in rows(sections(text_of("data.md"))["Scenes"]) if id_.isdigit()]
    assert listed == [(category["id"], category["name"]) for category in CATEGORIES]


def test_bytes_of_an_instance(coco_mini: Path) -> None:
    memory = sections(text_of("data.md"))["Memory"]
    for split, *figures in rows(memory):
        packed = read_coco(coco_mini, "train" if split == "train" else "val")
        each = (packed.bytes_per_instance, packed.mask_bytes.nbytes / packed.instances)
        measured = (len(packed), packed.instances, *each, packed.keypoints.nbytes / packed.instances)
        assert [int(figure) for figure in figures] == [round(value) for value in measured]
        decision = text_of("decisions/005-packed-annotations-and-label-availability.md")
        assert f"{round(packed.bytes_per_instance)} ({split})" in decision
        share = packed.sizes.min(1) / packed.sizes.max(1)
        assert round(100 * float(share.mean())) == 71  # decisions/004
        assert share.min() < 0.5 or split == "train"


def test_figures_of_decisions() -> None:
    pages = {page.name[:3]: re.sub(r"\s+", " ", page.read_text()) for page in DOCS.glob("decisions/0*.md")}
    assert f"{matching.FORBIDDEN:.0e}".replace("+0", "") in pages["001"]
    assert f"overlaps by more than {proposals.DUPLICATE_IOU} IoU" in pages["002"]
    assert f"its {proposals.POSITIVES} best-aligned patches" in pages["002"]
    assert (proposals.ANCHOR, attention.PLAIN_SCORES) == (1 / 4, 2**26)


@pytest.mark.slow
def test_counts_of_the_first_scenes() -> None:
    scenes = [render_scene(0, index, 64) for index in range(200)]
    kinds = np.concatenate([scene.category_ids for scene in scenes])
    sizes = [len(scene.category_ids) for scene in scenes]
    people = sum(1 in scene.category_ids for scene in scenes)
    expected = {
        "person, disc, square, triangle": [int((kinds == kind).sum()) for kind in (1, 2, 3, 4)],
        "star, ring, cross, heart": [int((kinds == kind).sum()) for kind in (5, 6, 7, 8)],
        "images with 1, 2, 3, 4, 5 objects": [sizes.count(n) for n in (1, 2, 3, 4, 5)],
        "images with people": [people],
    }
    found = {row[0]: row[1] for row in rows(sections(text_of("data.md"))["Scenes"]) if len(row) == 2}
    assert {key: list(map(int, found[key].split(", "))) for key in expected} == expected
    assert f"hold {len(kinds)} objects" in text_of("data.md")
