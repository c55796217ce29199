"""Whole runs through the command line: what they write, that they repeat, how models are evaluated."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from mtvit_train.config.run import read_run
from mtvit_train.engine.meter import Pace
from support.training.run_cases import SMALL, train


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "first"
    result = train("--plugins", "det,seg,pose", "--data", str(scenes), "--out", str(out), "--steps", "4")
    assert result.exit_code == 0, result.output
    return out


def test_a_run_leaves_settings_records_model_and_pictures(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    pictures = {"labels.png", "predictions.png", "worst.png", "pictures"}
    files = {
        "config.json",
        "data.json",
        "metrics.jsonl",
        "metrics.json",
        "details.json",
        "model.safetensors",
        "report.html",
    }
    state = {"checkpoints", "finished.json"}
    assert names == pictures | files | state
    details = json.loads((finished / "details.json").read_text())
    assert {name: [table["title"] for table in told["tables"]] for name, told in details.items()} == {
        "det": ["Box scores by class"],
        "seg": ["Mask scores by class"],
        "pose": ["Keypoint scores by class", "Keypoint errors of person"],
        "link": [],
    }
    page = (finished / "report.html").read_text()
    assert all(f'id="{place}"' in page for place in ("losses", "task-pose", "worst", "labels", "pace"))
    config = json.loads((finished / "config.json").read_text())
    assert config["plugins"] == ["det", "seg", "pose"]
    assert config["train"]["steps"] == 4
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {"det/AP", "det/AP50", "seg/AP", "seg/AP50", "pose/AP", "pose/AP50"} <= metrics.keys()
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [(r["kind"], r["step"]) for r in records] == [("train", 2), ("train", 4), ("eval", 4)]
    assert {"loss", "lr", "grad_norm", "det/giou"} <= records[0].keys()
    pace = {"images_per_s", "step_s", "data_wait", "loader_images_per_s"}
    assert {
        name for name in Pace.__dataclass_fields__ if name in records[0]
    } == pace  # a CPU has no GPU memory
    assert all(record[name] > 0 for name in pace for record in records[:2])
    assert records[0]["step_s"] * records[0]["images_per_s"] == pytest.approx(2)
    assert records[0]["data_wait"] < 1


def test_a_writer_that_fails_does_not_stop_a_run(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("disk quota")

    monkeypatch.setattr("mtvit_train.recording.trackers.find_spec", lambda name: "there")
    monkeypatch.setattr("mtvit_train.recording.trackers.TensorBoard", fail)
    settings = [*SMALL, "records.tensorboard=true", "records.worst=0"]
    line = ["--plugins", "det", "--data", str(scenes), "--out", str(tmp_path / "out"), "--steps", "2"]
    result = train(*line, settings=settings)
    assert result.exit_code == 0, result.output
    words = " ".join(result.output.split())
    assert words.count("records.tensorboard: switched off, since it failed: OSError: disk quota.") == 1
    assert (tmp_path / "out" / "report.html").is_file()
    assert not (tmp_path / "out" / "worst.png").exists()


def test_the_same_run_gives_the_same_weights(finished: Path, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    train("--plugins", "det,seg,pose", "--data", str(scenes), "--out", str(out), "--steps", "4")
    first, again = (load_file(folder / "model.safetensors") for folder in (finished, out))
    assert first.keys() == again.keys()
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_true_maps_are_shown_in_the_order_of_those_found(scenes: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "out", [one for one in SMALL if not one.startswith("tasks.")]
    line = ["--plugins", "semantic,depth,normals", "--data", str(scenes), "--out", str(out), "--steps", "1"]
    result = train(*line, settings=settings)
    assert result.exit_code == 0, result.output
    for entry in json.loads((out / "pictures" / "predictions.json").read_text()):
        _, _, shown = entry["caption"].rpartition(": ")
        assert shown == "truth, true semantic, true depth, true normals, semantic, depth, normals"


def test_a_folder_that_holds_a_run_is_refused(finished: Path, scenes: Path) -> None:
    before = (finished / "metrics.json").read_bytes()
    result = train("--data", str(scenes), "--out", str(finished))
    assert result.exit_code == 2
    assert (
        f"out {finished}: not empty; runs are never overwritten. Give another folder with --out."
        in result.output
    )
    assert (finished / "metrics.json").read_bytes() == before


def test_evaluate_gives_the_metrics_of_the_run(finished: Path, scenes: Path, tmp_path: Path) -> None:
    from mtvit_core.cli.main import main as mtvit

    out = tmp_path / "metrics.json"
    model = str(finished / "model.safetensors")
    result = CliRunner().invoke(mtvit, ["evaluate", model, "--data", str(scenes), "--out", str(out)])
    assert result.exit_code == 0, result.output
    expected = json.loads((finished / "metrics.json").read_text())
    del expected["step"]
    assert json.loads(out.read_text()) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert (tmp_path / "metrics.details.json").read_text() == (finished / "details.json").read_text()
    again = CliRunner().invoke(mtvit, ["evaluate", model, "--data", str(scenes), "--out", str(out)])
    assert again.exit_code == 2
    assert f"out {out}: already exists; give another file with --out." in again.output


def test_evaluate_takes_data_that_lack_categories(finished: Path, scenes: Path, tmp_path: Path) -> None:
    from mtvit_core.cli.main import main as mtvit

    folder = tmp_path / "fewer"
    (folder / "annotations").mkdir(parents=True)
    for pixels in ("val2017", "depth", "semantic", "normals"):
        (folder / pixels).symlink_to(scenes / pixels)
    for source in (scenes / "annotations").iterdir():
        document = json.loads(source.read_text())
        for key, id_ in (("categories", "id"), ("annotations", "category_id")):
            document[key] = [entry for entry in document.get(key, []) if entry[id_] < 8]
        (folder / "annotations" / source.name).write_text(json.dumps(document))
    out, model = tmp_path / "metrics.json", finished / "model.safetensors"
    result = CliRunner().invoke(
        mtvit, ["evaluate", str(model), "--data", str(folder), "--tasks", "det", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["det/AP"] is not None


def test_evaluate_refuses_data_with_other_categories(finished: Path, scenes: Path, tmp_path: Path) -> None:
    from mtvit_core.cli.main import main as mtvit

    folder = tmp_path / "other"
    (folder / "annotations").mkdir(parents=True)
    for pixels in ("val2017", "depth", "semantic", "normals"):
        (folder / pixels).symlink_to(scenes / pixels)
    for source in (scenes / "annotations").iterdir():
        text = source.read_text().replace('"heart"', '"spade"')
        (folder / "annotations" / source.name).write_text(text)
    model = finished / "model.safetensors"
    result = CliRunner().invoke(mtvit, ["evaluate", str(model), "--data", str(folder)])
    assert result.exit_code == 2
    assert (
        f"checkpoint {model}: its 8 categories do not fit the 8 of {folder}: id 8 is 'heart' in the "
        "model and 'spade' in the data; evaluate on data with the categories it was trained on."
    ) in result.output


def test_a_recipe_needs_none_of_its_tasks_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtvit_train.config.run.installed_tasks", lambda: {"det": None})
    assert list(read_run("scenes-demo", {}, ()).tasks) == ["det"]
