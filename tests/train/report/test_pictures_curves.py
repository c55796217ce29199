"""Curves of a run: every line can be told from the others, and its name hides none."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from mtvit_train.report.pictures import draw_losses, draw_metrics

TERMS = [f"term_{i:02d}" for i in range(15)]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: Any, **options: Any) -> None:
        save(figure, *arguments, **options)
        figures.append(figure)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def test_lines_of_a_panel_differ_and_are_named_beside_it(drawn: list[Figure], tmp_path: Path) -> None:
    records = [{"step": step, **{f"pose/{t}": 1 + i / step for i, t in enumerate(TERMS)}} for step in (1, 2)]

    draw_losses(records, tmp_path / "losses.png")

    (panel,) = drawn[0].axes
    looks = {(line.get_color(), line.get_linestyle()) for line in panel.get_lines()}
    assert len(looks) == len(TERMS)
    legend = panel.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == TERMS[::-1]
    assert legend.get_window_extent().x0 >= panel.get_window_extent().x1 - 1


def test_metrics_that_were_never_measured_do_not_stop_the_picture(
    drawn: list[Figure], tmp_path: Path
) -> None:
    draw_metrics([{"step": 1, "det/AP": 0.1, "seg/AP": None}], tmp_path / "metrics.png")

    legend = drawn[0].axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["det AP", "seg AP"]
