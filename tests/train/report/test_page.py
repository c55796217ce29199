"""The page that shows a run: places of lines by hand, what it holds, that it loads nothing, odd folders."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from mtvit_core.evaluation.details import Chart, Details, Line, Matrix, Table
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig
from mtvit_train.recording.gallery import Exhibit, read_gallery, save_gallery
from mtvit_train.recording.records import Records, read_details, write_details, write_json
from mtvit_train.report.history import clock, loss_plots, metric_plots, pace_figures
from mtvit_train.report.svg_lines import BOX, log_ticks, plot, short, ticks
from mtvit_train.state.run_files import DETAILS


def chart(*values: float, across: str = "step", **more: float) -> Chart:
    return Chart("t", across, "y", (Line("a", tuple(map(float, range(len(values)))), values),), **more)


# Places


def test_a_line_runs_from_corner_to_corner() -> None:
    drawn = plot(chart(0.0, 5.0, 10.0))
    middle = f"{(BOX.left + BOX.right) / 2:g} {(BOX.top + BOX.bottom) / 2:g}"
    assert drawn.paths[0].d == f"M{BOX.left} {BOX.bottom}L{middle}L{BOX.right} {BOX.top}"
    assert [tick.label for tick in drawn.y] == ["0", "2.5", "5", "7.5", "10"]
    assert (drawn.y[0].at, drawn.y[-1].at) == (BOX.bottom, BOX.top)
    assert drawn.paths[0].last == "10"
    assert len(drawn.paths[0].dots) == 3


def test_a_logarithmic_line_has_equal_steps_for_equal_factors() -> None:
    drawn = plot(chart(1.0, 10.0, 100.0), "log")
    heights = [y for _, y in drawn.paths[0].dots]
    assert heights == [BOX.bottom, (BOX.top + BOX.bottom) / 2, BOX.top]


def test_what_is_no_number_interrupts_a_line() -> None:
    assert plot(chart(1.0, math.nan, 2.0, 3.0)).paths[0].d.count("M") == 2
    assert plot(chart(1.0, 0.0, 2.0), "log").paths[0].d.count("M") == 2
    assert plot(chart(math.nan)) is None


def test_given_ends_hold() -> None:
    drawn = plot(chart(0.5, 0.25, across="recall", least=0.0, most=1.0))
    assert [tick.label for tick in drawn.y] == ["0", "0.25", "0.5", "0.75", "1"]
    assert drawn.paths[0].dots[0][1] == (BOX.top + BOX.bottom) / 2
    assert drawn.paths[0].last == ""


def test_long_lines_are_averaged() -> None:
    drawn = plot(chart(*[float(n % 2) for n in range(10_000)]))
    assert drawn.paths[0].d.count("L") < 250
    assert {tick.label for tick in drawn.y} == {"0.5"}


def test_round_numbers() -> None:
    assert ticks(0, 1) == [0, 0.25, 0.5, 0.75, 1]
    assert ticks(3, 3) == [3]
    assert ticks(2, 4, whole=True) == [2, 3, 4]
    assert log_ticks(0.02, 30) == pytest.approx([0.1, 1, 10])
    assert log_ticks(60, 80) == [60, 65, 70, 75, 80]
    assert [short(v) for v in (0, 1250.0, 12500.0, 0.5, 1e-5, 3e6)] == [
        "0",
        "1250",
        "12.5k",
        "0.5",
        "1e-5",
        "3M",
    ]
    assert [clock(s) for s in (5, 150, 3660, math.nan)] == ["5 s", "2.5 min", "1 h 1 min", "-"]


def test_the_course_of_a_run() -> None:
    train = [
        {
            "step": 2,
            "det/l1": 2.0,
            "pose/oks": 1.0,
            "loss": 3.0,
            "step_s": 0.5,
            "images_per_s": 4.0,
            "data_wait": 0.1,
        },
        {
            "step": 6,
            "det/l1": 1.0,
            "pose/oks": None,
            "loss": 2.0,
            "step_s": 1.0,
            "images_per_s": 2.0,
            "data_wait": 0.3,
        },
    ]
    assert [(p.title, [path.name for path in p.paths]) for p in loss_plots(train)] == [
        ("det", ["l1"]),
        ("pose", ["oks"]),
        ("all tasks", ["loss"]),
    ]
    weighed = [{**record, "weight_det": 0.5, "weight_pose": 1.5} for record in train]
    assert [path.name for path in loss_plots(weighed)[-1].paths] == ["det", "pose"]
    figures = {figure.name: figure.value for figure in pace_figures(train)}
    assert figures["training time"] == "5 s"  # 2 x 0.5 + 4 x 1
    assert figures["throughput"] == "3"
    assert figures["waiting for data"] == "20"
    assert "GPU memory" not in figures
    scored = [{"step": s, "det/AP": 0.1 * s, "det/AR": 0.2, "depth/MAE": 3.0 - s} for s in (1, 2)]
    assert [[path.name for path in p.paths] for p in metric_plots(scored)] == [["AP", "AR"], ["MAE"]]
    assert metric_plots(scored[:1]) == []


def test_metrics_of_different_scale_have_charts_of_their_own() -> None:
    scored = [{"step": s, "probe/rank": 30.0 + s, "probe/knn_mAP": 0.1 * s, "probe/cos": 0.5} for s in (1, 2)]
    charts = {drawn.title: [path.name for path in drawn.paths] for drawn in metric_plots(scored)}
    assert charts == {"probe": ["knn_mAP", "cos"], "probe rank": ["rank"]}


def test_lines_of_a_chart_differ_and_are_named() -> None:
    terms = [f"term_{i:02d}" for i in range(24)]
    records = [{"step": step, **{f"pose/{t}": 1 + i / step for i, t in enumerate(terms)}} for step in (1, 2)]
    (drawn,) = loss_plots(records)
    assert [path.name for path in drawn.paths] == terms
    assert len({path.style for path in drawn.paths}) == len(terms)


def test_metrics_that_were_never_measured_do_not_stop_the_charts() -> None:
    scored = [{"step": step, "det/AP": 0.1, "det/AR": None, "seg/AP": None} for step in (1, 2)]
    assert [(p.title, [path.name for path in p.paths]) for p in metric_plots(scored)] == [("det", ["AP"])]


# The page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with something of everything, and words that must be escaped."""
    out = tmp_path / "first"
    out.mkdir()
    write_json(out / "config.json", RunConfig(data="<b>data</b>", plugins=("det",)).model_dump(mode="json"))
    records = Records(out)
    for step in (1, 2, 3):
        records.add(
            "train", step, {"det/l1": 3.0 / step, "loss": 3.0, "lr": 0.1, "grad_norm": 1.0, "step_s": 0.5}
        )
        records.add("eval", step, {"det/AP": step / 10, "det/APl": math.nan})
    write_json(out / "metrics.json", {"step": 3, "det/AP": 0.3, "det/APl": math.nan, "det/extra": 7})
    details = Details(
        (Table("Scores", ("class", "AP"), (("<i>cat</i>", 0.512), ("dog", None))),),
        (chart(0.5, 0.25, across="recall", least=0.0, most=1.0),),
        (Matrix("Confusion", "truth", "found", ("cat", "nothing"), ("cat", "nothing"), ((4, 1), (2, 0))),),
    )
    write_details(out / DETAILS, {"det": details})
    seen = {"task": "det", "data": "street", "images": 90, "share": 1.0, "objects_seen": 1234}
    write_json(out / "data.json", {"seen": [seen], "notes": ["street: id 3 is car."]})
    picture = Image.new("RGB", (800, 400), (200, 30, 30))
    save_gallery(out, "predictions", [Exhibit("1.jpg & more", (picture, picture))])
    return out


class Page(HTMLParser):
    """Addresses that a page loads, its texts, and whether its tags are closed."""

    VOID = frozenset({"meta", "img"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses, self.open, self.texts, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if data.strip():
            self.texts.append(data.strip())


def made(folder: Path) -> Page:
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_loads_nothing(folder: Path) -> None:
    page = made(folder)
    assert page.open == []
    assert [a for a in page.addresses if not a.startswith(("#", "data:image/jpeg;base64,"))] == []
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|@import|url\(|<script", text)


def test_the_page_shows_everything(folder: Path) -> None:
    page = made(folder)
    for text in (
        "first", "after 3 updates, averaged weights", "0.300", "Scores", "0.512", "-", "Confusion", "4",
        "1.jpg & more", "<i>cat</i>", "[train]", "det", "all tasks", "updates", "extra", "7",
        "objects seen", "1234", "street: id 3 is car.",
    ):  # fmt: skip
        assert text in page.texts, text
    assert page.tags.count("img") == 2
    assert page.tags.count("svg") == 1 + 2 + 1 + 2  # metrics, losses, details, pace (no images_per_s here)


def test_links_lead_to_sections(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8") if made(folder) else ""
    targets = re.findall(r'<a href="#([^"]+)"', text)
    assert {"results", "losses", "task-det", "predictions", "data", "pace", "settings"} == set(targets)
    assert all(f'id="{target}"' in text for target in targets)


def test_a_run_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", RunConfig().model_dump(mode="json"))
    page = made(tmp_path)
    assert "Settings" in page.texts
    assert "Results" not in page.texts


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2
    line = f"report {tmp_path}: no config.json there, so it is no run folder; name one that is."
    assert line in result.output
    write_json(tmp_path / "config.json", RunConfig().model_dump(mode="json"))
    (tmp_path / "metrics.json").write_text('{"step": 3,')
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert f"report: {tmp_path / 'metrics.json'} is not valid JSON:" in result.output


def test_details_that_were_changed_are_refused(folder: Path) -> None:
    for text in ("{", "[]", '{"det": {"tables": []}}', '{"det": {"tables": [{}], "charts": []}}'):
        (folder / DETAILS).write_text(text)
        result = CliRunner().invoke(main, ["report", str(folder)])
        assert result.exit_code == 2
        assert f"{folder / DETAILS}: not what an evaluation wrote (" in result.output
        assert "remove the file, and evaluate again." in result.output


# Files behind it


def test_details_are_read_back(folder: Path) -> None:
    details = read_details(folder / DETAILS)["det"]
    assert details.matrices[0].counts == ((4, 1), (2, 0))
    assert details.charts[0].most == 1.0
    assert read_details(folder.parent / DETAILS) == {}


def test_pictures_are_small_and_those_that_were_removed_are_left_out(folder: Path) -> None:
    (shown,) = read_gallery(folder, "predictions")
    with Image.open(shown.files[0]) as picture:
        assert picture.size == (560, 280)
    shown.files[1].unlink()
    assert read_gallery(folder, "predictions") == ()
    assert read_gallery(folder, "worst") == ()
    assert json.loads((folder / "pictures" / "predictions.json").read_text())[0]["caption"] == "1.jpg & more"
