"""delta_m against calculations by hand, and the command that reads run folders."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from mtvit_core.errors import DataError
from mtvit_train.cli.main import main
from mtvit_train.report.delta_m import changes, delta_m

SEVERAL = {"semantic/mIoU": 0.55, "semantic/pixel_accuracy": 0.9, "depth/abs_err": 0.3, "depth/RMSE": 9.0}
ALONE = {"semantic/mIoU": 0.5, "semantic/pixel_accuracy": 1.0, "depth/abs_err": 0.4, "depth/RMSE": 1.0}


def test_tasks_count_alike_and_lower_errors_are_gains() -> None:
    """The mIoU gains 10 %, accuracy loses 10 %: 0; abs_err falls by 25 %: + 25. RMSE does not count."""
    found = changes(SEVERAL, ALONE)
    assert {one.name: one.percent for one in found} == pytest.approx(
        {"semantic/mIoU": 10, "semantic/pixel_accuracy": -10, "depth/abs_err": 25}
    )
    assert delta_m(found) == pytest.approx((0 + 25) / 2)
    assert delta_m(found, flat=True) == pytest.approx((10 - 10 + 25) / 3)


def test_a_published_row_comes_out() -> None:
    """Nash-MTL on NYUv2 is stated as -4.04, flat over nine metrics and with the opposite sign."""
    names = ("s/mIoU", "s/pixel_accuracy", "d/abs_err", "d/rel_err", "n/mean_angle", "n/median_angle",
             "n/below_11.25", "n/below_22.5", "n/below_30")  # fmt: skip
    alone = (38.30, 63.76, 0.6754, 0.2780, 25.01, 19.21, 30.14, 57.20, 69.15)
    nash = (40.13, 65.93, 0.5261, 0.2171, 25.26, 20.08, 28.40, 55.47, 68.15)
    found = changes(dict(zip(names, nash, strict=True)), dict(zip(names, alone, strict=True)))
    assert delta_m(found, flat=True) == pytest.approx(4.04, abs=0.01)


def test_what_has_no_relative_change_is_refused() -> None:
    with pytest.raises(DataError, match=r"^compare: depth/abs_err is 0\.3 beside 0 alone"):
        changes(SEVERAL, {**ALONE, "depth/abs_err": 0.0})
    with pytest.raises(DataError, match="has scores of depth, semantic, the single runs of semantic;"):
        changes(SEVERAL, {name: value for name, value in ALONE.items() if name.startswith("sem")})


def folder(path: Path, metrics: dict[str, float]) -> str:
    path.mkdir()
    (path / "metrics.json").write_text(json.dumps({"step": 7, **metrics}))
    return str(path)


def test_the_command_reads_run_folders(tmp_path: Path) -> None:
    line = ["compare", folder(tmp_path / "all", SEVERAL)]
    line += [folder(tmp_path / task, {n: v for n, v in ALONE.items() if n.startswith(task)})
             for task in ("semantic", "depth")]  # fmt: skip
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 0, result.output
    assert "delta_m +12.50 % (positive: sharing a model helps)" in result.output
    told = json.loads(
        CliRunner().invoke(main, [*line, "--json", "--lower", "RMSE", "--higher", "mIoU"]).output
    )
    assert told["delta_m"] == pytest.approx((10 - 800) / 2)
    twice = CliRunner().invoke(main, [*line, line[-1]])
    assert twice.exit_code == 2
    assert "both have the task 'depth'; give one run of each" in " ".join(twice.output.split())
    nothing = CliRunner().invoke(main, ["compare", str(tmp_path), str(tmp_path)])
    assert "holds no metrics.json" in nothing.output
