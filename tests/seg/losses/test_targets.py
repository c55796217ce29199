"""What the loss is given: packed masks, padded labels and boxes."""

import pytest
import torch

from support.tasks.seg_cases import annotate, blobs, random_annotations, targets_of, task


def test_masks_are_packed_and_labels_padded() -> None:
    masks = [blobs(n, 64, 96) for n in (2, 0, 3)]
    annotations = [annotate(m, range(len(m))) for m in masks]
    found = targets_of(task(), annotations)
    assert found.counts == (2, 0, 3)
    assert found.labels.tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 2]]
    assert found.valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert found.image.tolist() == [0, 0, 2, 2, 2]
    assert found.slot.tolist() == [0, 1, 0, 1, 2]
    assert torch.equal(found.masks, torch.cat(masks))
    assert found.labelled.tolist() == [True, True, True]


def test_boxes_come_from_the_masks() -> None:
    mask = torch.zeros(1, 64, 96, dtype=torch.bool)
    mask[0, 10:20, 30:60] = True
    mask[0, 40, 90] = True
    found = targets_of(task(), [annotate(mask, [1])])
    expected = torch.tensor([60.5 / 96, 25.5 / 64, 61 / 96, 31 / 64])
    torch.testing.assert_close(found.boxes[0, 0], expected)


def test_crowds_empty_masks_and_unlabelled_images_are_left_out() -> None:
    masks = blobs(3, 64, 96)
    masks[1] = False
    annotations = [
        annotate(masks, [0, 1, 2], [True, False, False]),
        annotate(blobs(2, 64, 96), [0, 1], labelled=False),
    ]
    found = targets_of(task(), annotations)
    assert found.counts == (1, 0)
    assert found.labels[0].tolist() == [2]
    assert torch.equal(found.masks, masks[2:])
    assert found.labelled.tolist() == [True, False]


def test_a_batch_without_objects_has_no_columns() -> None:
    found = targets_of(task(), random_annotations([0, 0]))
    assert found.labels.shape == (2, 0)
    assert found.masks.shape == (0, 64, 96)
    assert found.on_map((16, 24)).shape == (0, 16, 24)


@pytest.mark.parametrize("size", [(16, 24), (64, 96), (4, 6)])
def test_a_coarse_map_holds_the_covered_share_of_every_pixel(size: tuple[int, int]) -> None:
    found = targets_of(task(), random_annotations([2, 1]))
    rows, columns = 64 // size[0], 96 // size[1]
    expected = found.masks.float().view(3, size[0], rows, size[1], columns).mean((2, 4))
    torch.testing.assert_close(found.on_map(size), expected)


def test_padding_spreads_packed_rows() -> None:
    found = targets_of(task(), random_annotations([1, 2]))
    values = torch.randn(3, 5)
    padded = found.padded(values)
    assert torch.equal(padded[0], torch.stack([values[0], torch.zeros(5)]))
    assert torch.equal(padded[1], values[1:])
