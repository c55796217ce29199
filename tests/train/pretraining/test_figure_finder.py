"""Pasted figures: surfaces, outlines, limbs, compositions, and the loss that finds them."""

import math

import pytest
import torch

from mtvit_core.model.backbone import create_backbone
from mtvit_train.pretraining.composition import FIGURES, compose
from mtvit_train.pretraining.composition_views import mirrored, recoloured, shown_again
from mtvit_train.pretraining.figure_finder import FigureFinder, by_patch, figure_boxes, owners, rasters
from mtvit_train.pretraining.limbs import BARS, draw_figures
from mtvit_train.pretraining.outline import ANGLES, SPECTRUM, _between_corners, draw_outlines
from mtvit_train.pretraining.surface import SurfaceKind, draw_surfaces
from mtvit_train.scenes.scene import render_scene


@pytest.fixture(scope="module")
def scenes() -> torch.Tensor:
    planes = [torch.from_numpy(render_scene(2, index, 64).image.copy()) for index in range(4)]
    return torch.stack(planes).permute(0, 3, 1, 2)


def longer_sides(masks: torch.Tensor) -> torch.Tensor:
    boxes = figure_boxes(masks.to(torch.uint8))[:, 0]
    return (boxes[:, 2:] - boxes[:, :2]).max(1).values


def test_figures_are_of_the_size_of_objects() -> None:
    torch.manual_seed(0)
    for sides in (longer_sides(draw_outlines(64, 96).inside), longer_sides(draw_figures(64, 96).bar > 0)):
        assert sides.quantile(0.1) > 0.05
        assert sides.quantile(0.9) < 0.75


def test_edges_between_corners_are_straight() -> None:
    turns = torch.tensor([[0.0, 0.5, 1.0, 1.5] + [math.inf] * 8]) * math.pi
    square = _between_corners(turns, torch.ones(1, 12), torch.tensor([[4]]))
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    # The line x + y = 1 in the first quadrant, and its mirror images.
    torch.testing.assert_close(square[0], 1 / (angle.cos().abs() + angle.sin().abs()), rtol=1e-4, atol=1e-4)


def test_the_spectrum_names_the_symmetry_of_an_outline(monkeypatch: pytest.MonkeyPatch) -> None:
    angle = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    flower = 1 + 0.3 * (5 * angle).cos()
    for name in ("_waves", "_polygons"):
        monkeypatch.setattr(f"mtvit_train.pretraining.outline.{name}", lambda count: flower.repeat(count, 1))
    spectrum = draw_outlines(4, 32).spectrum
    assert spectrum.shape == (4, SPECTRUM)
    assert spectrum[:, :8].argmax(1).tolist() == [4] * 4  # entry k - 1 is wave k


def test_joints_lie_on_their_figure() -> None:
    torch.manual_seed(1)
    figures = draw_figures(32, 128)
    for bar, joints in zip(figures.bar, figures.joints, strict=True):
        there = joints[(joints >= 0).all(1) & (joints < 1).all(1)]
        assert len(joints) == BARS + 1
        columns, rows = (there * 128).long().T
        assert (bar[rows, columns] > 0).float().mean() > 0.9  # a bar may be thinner than a pixel


def test_a_mirrored_window_is_symmetric_and_a_magnified_one_is_smooth(scenes: torch.Tensor) -> None:
    torch.manual_seed(0)
    smooth = draw_surfaces(scenes, 16, SurfaceKind(0.0, (0.1, 0.1)))
    rough = draw_surfaces(scenes, 16, SurfaceKind(1.0, (0.1, 0.1)))

    def steps(images: torch.Tensor) -> float:
        return float(images.diff(dim=-1).abs().mean() / images.std())

    assert steps(rough) > 2 * steps(smooth)


def test_compositions_are_a_function_of_the_seed(scenes: torch.Tensor) -> None:
    torch.manual_seed(0)
    first = compose(scenes, 16)
    assert first.images.shape == (16, 3, 64, 64)
    assert first.owner.amax() <= FIGURES
    assert first.limbed.any()
    assert (first.joints[~first.limbed] == -1).all()
    assert not first.spectrum[first.limbed].any()
    torch.manual_seed(0)
    again = compose(scenes, 16)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.owner, again.owner)


def test_mirrors_move_joints_with_their_pixels(scenes: torch.Tensor) -> None:
    torch.manual_seed(3)
    part = compose(scenes, 32)
    torch.manual_seed(4)
    moved = mirrored(part)
    assert not torch.equal(part.images, moved.images)
    place = (moved.joints.flatten(1, 2) * 64).floor().long()
    inside = ((place >= 0) & (place < 64)).all(-1)
    seen = [
        (moved.owner[i][place[i][inside[i]][:, 1], place[i][inside[i]][:, 0]] > 0).float() for i in range(32)
    ]
    assert torch.cat(seen).mean() > 0.9
    assert torch.equal(part.owner.flatten(1).sort(1).values, moved.owner.flatten(1).sort(1).values)


def test_exchanged_colours_are_the_same_values(scenes: torch.Tensor) -> None:
    torch.manual_seed(0)
    part = compose(scenes, 4)
    other = recoloured(part)
    for before, after in zip(part.images, other.images, strict=True):
        sums = {int(before.sum()), int((255 - before.int()).sum())}
        assert int(after.sum()) in sums


def test_each_composition_is_shown_several_times(scenes: torch.Tensor) -> None:
    batch = shown_again(scenes, 6)
    assert len(batch) == 6
    sizes = [sorted((batch.owner[i] == f).sum().item() for f in range(1, FIGURES + 1)) for i in range(6)]
    assert sizes[0] == sizes[2] == sizes[4] != sizes[1] == sizes[3] == sizes[5]
    assert not torch.equal(batch.images[0], batch.images[2])


def test_boxes_are_tight_around_what_is_visible() -> None:
    owner = torch.zeros(1, 16, 32, dtype=torch.uint8)
    owner[0, 2:6, 8:24] = 1
    owner[0, 4:10, 20:28] = 2  # covers the lower right of the first
    boxes = figure_boxes(owner)
    assert boxes.shape == (1, FIGURES, 4)
    assert boxes[0, 0].tolist() == [8 / 32, 2 / 16, 24 / 32, 6 / 16]
    assert boxes[0, 1].tolist() == [20 / 32, 4 / 16, 28 / 32, 10 / 16]
    assert not boxes[0, 2:].any()


def test_an_outline_is_told_inside_its_own_box() -> None:
    owner = torch.zeros(1, 64, 64, dtype=torch.uint8)
    owner[0, 16:40, 8:32] = 1
    owner[0, 16:28, 8:20] = 0  # the upper left quarter is missing
    raster = rasters(owner, figure_boxes(owner))[0, 0].view(12, 12)
    assert not raster[:6, :6].any()
    assert raster[6:].all()
    assert raster[:, 6:].all()


def test_a_patch_belongs_to_the_figure_that_fills_most_of_it() -> None:
    cells = torch.zeros(1, 8, 8, dtype=torch.uint8)
    cells[0, :4, :4] = 2
    cells[0, 0, 0] = 1
    cells[0, 4:, 4:5] = 3  # a quarter of the last patch
    cells[0, 0, 7] = 1  # too little
    grouped = by_patch(cells, (2, 2))
    assert grouped[0, 0].tolist() == cells[0, :4, :4].flatten().tolist()
    image, patch, figure = owners(grouped)
    assert (image.tolist(), patch.tolist(), figure.tolist()) == ([0, 0], [0, 3], [1, 2])


def test_a_few_steps_lower_the_loss(scenes: torch.Tensor) -> None:
    torch.manual_seed(0)
    options: dict[str, bool | int | float | str] = {
        "patch_size": 8,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
    }
    model = FigureFinder(create_backbone("vit_tiny_patch16_224", (64, 64), options=options))
    batch = shown_again(scenes, 8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(40):
        loss = model(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
