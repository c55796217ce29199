"""Whole runs through the command line: what they write, what they refuse, and that they repeat."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

import mtvit_core
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import make_split
from mtvit_train.cli.main import main
from mtvit_train.config.run import RunConfig, TrainConfig, read_run
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.engine.course import Course
from mtvit_train.engine.evaluate import evaluate
from mtvit_train.engine.meter import Pace, Report
from mtvit_train.engine.trainer import DivergedError, Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.weighting.fixed import make_weighting

SMALL = [
    "model.backbone=vit_tiny_patch16_224",
    "model.options={patch_size=16, embed_dim=24, depth=2, num_heads=2}",
    "model.image_size=[64, 64]",
    "train.batch_size=2",
    "train.log_every=2",
    "train.threads=1",
    "train.precision=fp32",
    "tasks.det.queries=6",
    "tasks.seg.queries=6",
    "tasks.pose.queries=4",
]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=6, val=4, seed=3, size=64)
    return folder


def train(*arguments: str, settings: list[str] = SMALL) -> Result:
    sets = [part for setting in settings for part in ("--set", setting)]
    return CliRunner().invoke(main, [*arguments, *sets])


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


def test_a_run_asks_for_packages_before_it_makes_anything(
    scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtvit_train.recording.trackers.find_spec", lambda name: None)
    out = tmp_path / "out"
    result = train("--data", str(scenes), "--out", str(out), settings=[*SMALL, "records.tensorboard=true"])
    assert result.exit_code == 2
    assert (
        "config: records.tensorboard is true, but the package 'tensorboard' is not installed" in result.output
    )
    assert not out.exists()


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


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("data='nowhere'", "nowhere"),
        ("model.backbone=vit_giraffe", "vit_giraffe"),
        ("model.start=nowhere.safetensors", "nowhere.safetensors"),
        ("train.accumulate=3", "cannot share out evenly"),
        ("train.device=cuda:99", "cuda:99"),
    ],
)
def test_a_run_that_cannot_begin_leaves_nothing_behind(
    mistake: str, words: str, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    line = ["--plugins", "det", "--out", str(out), "--steps", "1", "--set", f"data='{scenes}'"]
    result = train(*line, settings=[*SMALL, mistake])
    assert result.exit_code == 2, result.output
    assert result.output.count("error: ") == 1
    assert words in result.output
    assert not out.exists()


def test_true_maps_are_shown_in_the_order_of_those_found(scenes: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / "out", [one for one in SMALL if not one.startswith("tasks.")]
    line = ["--plugins", "semantic,depth,normals", "--data", str(scenes), "--out", str(out), "--steps", "1"]
    result = train(*line, settings=settings)
    assert result.exit_code == 0, result.output
    for entry in json.loads((out / "pictures" / "predictions.json").read_text()):
        _, _, shown = entry["caption"].rpartition(": ")
        assert shown == "truth, true semantic, true depth, true normals, semantic, depth, normals"


@pytest.mark.parametrize("there", [False, True])
def test_a_run_that_cannot_begin_takes_its_scenes_with_it(tmp_path: Path, there: bool) -> None:
    out = tmp_path / "out"
    if there:
        out.mkdir()
    scenes = ["scenes.train=2", "scenes.val=1", "scenes.size=64"]
    result = train("--plugins", "det", "--out", str(out), settings=[*scenes, "model.backbone=vit_giraffe"])
    assert result.exit_code == 2, result.output
    assert "vit_giraffe" in result.output
    assert out.is_dir() == there
    assert not list(tmp_path.glob("out/*"))


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


@pytest.mark.parametrize(
    ("arguments", "setting", "message"),
    [
        (["--plugins", "dett"], "", "dett"),
        (["--config", "scenes-dem"], "", "neither a file nor a recipe. Did you mean 'scenes-demo'?"),
        ([], "train.stepps=3", "config: train.stepps is not a setting. Did you mean 'steps'?"),
        ([], "train.lr=-1", "config: train.lr is -1: input should be greater than 0."),
        ([], "model.image_size=[60, 64]", "60 x 64 pixels is not a multiple of the patch, 16 x 16"),
        ([], "model.pretrained=absent.safetensors", "absent.safetensors"),
        ([], "tasks.dte.queries=3", "config: tasks.dte is not an installed task"),
        ([], "tasks.det.querys=3", "config: tasks.det.querys is not a setting. Did you mean 'queries'?"),
        ([], "train", "--set 'train': not an assignment; write a.b=value"),
    ],
)
def test_bad_settings_are_one_line_and_exit_2(
    arguments: list[str], setting: str, message: str, scenes: Path, tmp_path: Path
) -> None:
    settings = [*SMALL, *([setting] if setting else [])]
    result = train("--data", str(scenes), "--out", str(tmp_path / "out"), *arguments, settings=settings)
    assert result.exit_code == 2
    assert message in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize("words", [["--plugins", "dett"], ["--set", "tasks.det.querys=3"]])
def test_wrong_tasks_are_refused_before_anything_is_made(
    words: list[str], scenes: Path, tmp_path: Path
) -> None:
    result = train("--data", str(scenes), "--out", str(tmp_path / "out"), *words)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_missing_data_folder_is_refused(tmp_path: Path) -> None:
    result = train("--data", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert f"{tmp_path / 'nowhere'}: no such data folder; check the path." in result.output


def trainer(scenes: Path, config: TrainConfig, tasks: dict[str, dict[str, object]]) -> Trainer[MultiTaskViT]:
    torch.manual_seed(0)
    packed = read_coco(scenes, "train")
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, tasks, packed.categories, person_canvas=(64, 48))
    run = RunConfig(train=config)
    return Trainer(
        model, make_split(run, model, packed, training=True), config, make_weighting(run, tuple(tasks))
    )


def test_a_loss_that_is_not_finite_stops_before_the_update(scenes: Path) -> None:
    config = TrainConfig(steps=3, batch_size=2, precision="fp32", warmup=0)
    run = trainer(scenes, config, {"det": {"queries": 6}})
    run.model.modules_of("det").head.class_embed.bias.data[0] = torch.inf
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    with pytest.raises(
        DivergedError, match=r"step 0: .*det/.* is not finite, so the weights were not updated"
    ):
        run.run(Course())
    assert all(torch.equal(before[name], value) for name, value in run.model.state_dict().items())


def test_a_task_weight_of_zero_takes_a_task_out(scenes: Path) -> None:
    config = TrainConfig(steps=1, batch_size=2, precision="fp32", task_weights={"seg": 0.0})
    run = trainer(scenes, config, {"det": {"queries": 6}, "seg": {"queries": 6}})
    seen: dict[str, float] = {}
    run.run(Course(lambda report: seen.update(report.losses)))
    assert all(value == 0 for name, value in seen.items() if name.startswith("seg/"))
    assert any(value > 0 for name, value in seen.items() if name.startswith("det/"))


@pytest.mark.parametrize("name", ["uncertainty", "gradnorm"])
def test_learned_balance_trains(name: str, scenes: Path) -> None:
    # Five, because fresh heads give the backbone no gradient at all, and gradnorm looks again after four.
    config = TrainConfig(steps=5, batch_size=2, precision="fp32", warmup=0, weighting=name)
    run = trainer(scenes, config, {"det": {"queries": 6}, "seg": {"queries": 6}})
    before = [weight.clone() for weight in run.weighting.state_dict().values()]
    losses: dict[str, float] = {}
    values: dict[str, float] = {}

    def see(report: Report) -> None:
        losses.update(report.losses)
        values.update(report.values)

    run.run(Course(see))
    assert losses["loss"] == pytest.approx(sum(v for k, v in losses.items() if k != "loss"), rel=1e-5)
    assert (values["weight_det"], values["weight_seg"]) == tuple(run.weighting.factors().values()) != (1, 1)
    after = run.weighting.state_dict().values()
    assert all(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_a_frozen_backbone_has_no_gradients_to_balance(scenes: Path) -> None:
    config = TrainConfig(steps=1, batch_size=2, backbone_lr=0, weighting="gradnorm")
    with pytest.raises(ConfigError, match="the backbone's last block is not trained"):
        trainer(scenes, config, {"det": {"queries": 6}})


def test_whole_images_and_person_crops_train_and_evaluate_together(scenes: Path) -> None:
    config = TrainConfig(steps=2, batch_size=2, precision="fp32")
    run = trainer(scenes, config, {"det": {"queries": 6}, "pose": {"variant": "vitpose-simple"}})
    assert run.model.views == ("image", "person")
    losses: dict[str, float] = {}
    run.run(Course(lambda report: losses.update(report.losses)))
    assert {name.split("/")[0] for name in losses} == {"det", "pose", "loss"}
    packed = read_coco(scenes, "val")
    metrics = evaluate(
        run.average.model, make_split(RunConfig(), run.model, packed, training=False), batch_size=2
    )
    assert {"det/AP50", "pose/AP50"} <= metrics.keys()


def test_checkpointing_changes_no_loss(scenes: Path) -> None:
    values = []
    for checkpointing in (False, True):
        run = trainer(scenes, TrainConfig(steps=2, batch_size=2, precision="fp32"), {"det": {"queries": 6}})
        run.model.backbone.checkpointing = checkpointing
        losses: list[float] = []
        run.run(Course(lambda report, into=losses: into.append(report.losses["loss"])))
        values.append(losses)
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_recipe_needs_none_of_its_tasks_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtvit_train.config.run.installed_tasks", lambda: {"det": None})
    assert list(read_run("scenes-demo", {}, ()).tasks) == ["det"]
