"""From original images to the canvas and back."""

import json

import pytest
import torch

from mtvit_core.structures.framing import (
    Framing,
    ImageMeta,
    Inside,
    Letterbox,
    OwnSize,
    ShortSide,
    Stretch,
    framing_from_json,
    framing_to_json,
)

SIZES = [(480, 640), (640, 480), (37, 1000), (1, 1), (1, 5000), (64, 96), (333, 500)]


@pytest.mark.parametrize("size", SIZES)
def test_content_fills_one_side_and_keeps_the_aspect(size: tuple[int, int]) -> None:
    letterbox = Letterbox(64, 96)
    rows, columns = letterbox.content(*size)
    assert 1 <= rows <= 64
    assert 1 <= columns <= 96
    assert rows == 64 or columns == 96
    scale = min(64 / size[0], 96 / size[1])
    assert abs(rows - size[0] * scale) <= 1
    assert abs(columns - size[1] * scale) <= 1


@pytest.mark.parametrize("size", SIZES)
def test_apply_puts_the_image_top_left_on_zeros(size: tuple[int, int]) -> None:
    letterbox = Letterbox(64, 96)
    rows, columns = letterbox.content(*size)
    canvas = letterbox.apply(torch.full((3, *size), 200, dtype=torch.uint8))
    assert canvas.shape == (3, 64, 96)
    assert canvas.dtype == torch.uint8
    assert bool((canvas[:, :rows, :columns] == 200).all())
    assert int(canvas.sum()) == 200 * 3 * rows * columns


def test_apply_leaves_an_image_of_canvas_size_alone() -> None:
    image = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    assert torch.equal(Letterbox(64, 96).apply(image), image)


@pytest.mark.parametrize("size", SIZES)
def test_points_come_back(size: tuple[int, int]) -> None:
    letterbox = Letterbox(64, 96)
    rows, columns = letterbox.content(*size)
    meta = letterbox.meta(*size, image_id=7, file_name="a.jpg")
    assert (meta.image_id, meta.file_name, meta.height, meta.width) == (7, "a.jpg", *size)
    corners = torch.tensor([[0.0, 0.0], [columns, rows], [columns / 2, rows / 4]])
    wanted = torch.tensor([[0.0, 0.0], [size[1], size[0]], [size[1] / 2, size[0] / 4]])
    torch.testing.assert_close(meta.points_to_original(corners), wanted)


def test_points_follow_a_turned_and_shifted_map() -> None:
    meta = ImageMeta(10, 10, (5, 5), (0.0, -2.0, 9.0, 3.0, 0.5, -1.0))
    torch.testing.assert_close(
        meta.points_to_original(torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]])),
        torch.tensor([[[0.0 - 4 + 9, 3 + 1 - 1]], [[9.0, -1.0]]]),
    )


def test_boxes_come_back_clipped() -> None:
    meta = Letterbox(50, 100).meta(100, 200)
    found = meta.boxes_to_original(torch.tensor([[10.0, 20.0, 40.0, 45.0], [-5.0, -5.0, 120.0, 70.0]]))
    assert found.tolist() == [[20, 40, 80, 90], [0, 0, 200, 100]]
    assert meta.boxes_to_original(torch.zeros(0, 4)).shape == (0, 4)


def test_the_original_image_can_be_its_own_canvas() -> None:
    meta = ImageMeta.whole(30, 40, image_id=3, file_name="b.png")
    box = torch.tensor([[1.0, 2.0, 39.0, 29.0]])
    torch.testing.assert_close(meta.boxes_to_original(box), box)
    assert (meta.content, meta.image_id, meta.file_name) == ((30, 40), 3, "b.png")


def test_masks_come_back_without_the_padding() -> None:
    letterbox = Letterbox(64, 64)
    meta = letterbox.meta(32, 48)
    rows, columns = meta.content
    logits = torch.full((2, 64, 64), 9.0)  # the padding must not reach the result
    logits[0, :rows, :columns] = -1.0
    logits[1, :rows, :columns] = torch.arange(columns, dtype=torch.float32)
    back = meta.masks_to_original(logits)
    assert back.shape == (2, 32, 48)
    torch.testing.assert_close(back[0], torch.full((32, 48), -1.0))
    centres = (torch.arange(48) + 0.5) * columns / 48 - 0.5
    torch.testing.assert_close(back[1, 0], centres.clamp(min=0, max=columns - 1), atol=1e-4, rtol=0)


def test_an_image_comes_back_through_its_points() -> None:
    """A bright pixel of the original lies on the canvas where the map says."""
    image = torch.zeros(3, 40, 80, dtype=torch.uint8)
    image[:, 8:12, 60:64] = 255
    letterbox = Letterbox(32, 32)
    canvas, meta = letterbox.apply(image), letterbox.meta(40, 80)
    mass = canvas[0].double()
    y, x = torch.meshgrid(torch.arange(32) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    centre = torch.stack([(x * mass).sum(), (y * mass).sum()]) / mass.sum()
    torch.testing.assert_close(
        meta.points_to_original(centre), torch.tensor([62.0, 10.0]).double(), atol=0.2, rtol=0
    )


FILLING: list[Framing] = [
    ShortSide(48, 80, 16),
    ShortSide(48, 80, 16, "bicubic", "rounded"),
    Inside(70, 90, 16),
    Inside(70, 90, 16, "nearest"),
    Stretch(50, 70, 16, "bicubic"),
    OwnSize(16),
]


@pytest.mark.parametrize("framing", FILLING)
@pytest.mark.parametrize("size", [(48, 64), (64, 48), (37, 300), (9, 40), (100, 101)])
def test_an_image_fills_its_canvas_but_for_what_fills_no_patch(
    framing: Framing, size: tuple[int, int]
) -> None:
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    canvas, meta = framing.apply(image), framing.meta(*size)
    rows, columns = framing.resized(*size)
    assert tuple(canvas.shape[1:]) == framing.canvas(*size) == framing.content(*size) == meta.content
    assert canvas.shape[1] % 16 == canvas.shape[2] % 16 == 0
    assert 0 <= rows - canvas.shape[1] < 16
    assert 0 <= columns - canvas.shape[2] < 16
    whole = torch.tensor([[0.0, 0.0], [canvas.shape[2], canvas.shape[1]]])
    torch.testing.assert_close(meta.points_to_original(whole), torch.tensor([[0.0, 0.0], [size[1], size[0]]]))
    assert framing_from_json(json.loads(json.dumps(framing_to_json(framing)))) == framing


def test_sides_of_an_image_inside_a_box() -> None:
    assert Inside(160, 160, 16).resized(144, 192) == (120, 160)
    assert Inside(160, 160, 16).content(144, 192) == (112, 160)
    assert Stretch(96, 140, 16).content(7, 900) == (96, 128)
    assert OwnSize(16).content(33, 15) == (32, 16)


def test_files_that_say_no_way_to_resize_are_bilinear() -> None:
    old = {"kind": "short_side", "short": 512, "cap": 853, "multiple": 16}
    assert framing_from_json(old) == ShortSide(512, 853, 16)
    assert framing_from_json({"kind": "letterbox", "height": 64, "width": 96}) == Letterbox(64, 96)
