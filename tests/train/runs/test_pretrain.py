"""Pre-training through the command line: what it writes, that it repeats, goes on, and is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from mtvit_core.model.backbone import create_backbone
from mtvit_train.cli.main import main
from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import torchrun
from support.training.resume_cases import records, state

OPTIONS: dict[str, bool | int | float | str] = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
NAME = "vit_tiny_patch16_224"
SMALL = [
    f"model.backbone={NAME}",
    "model.options={patch_size = 16, embed_dim = 24, depth = 2, num_heads = 2}",
    "model.image_size=[48, 48]",
    f"distill.teacher={NAME}",
    "distill.options={patch_size = 8, embed_dim = 12, depth = 1, num_heads = 2}",
    "dino.hidden=16",
    "dino.bottleneck=8",
    "dino.prototypes=12",
    "crops.small=2",
    "mae.width=16",
    "train.batch_size=4",
    "train.threads=1",
    "train.precision=fp32",
    "train.log_every=2",
    "train.checkpoint_every=2",
]
METHODS = ("distill", "dino", "mae", "figures")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, and the weights of a teacher beside them."""
    folder = tmp_path_factory.mktemp("data")
    write_scenes(folder / "scenes", train=7, val=3, seed=3, size=64)
    torch.manual_seed(5)
    options = OPTIONS | {"patch_size": 8, "embed_dim": 12, "depth": 1}
    save_file(create_backbone(NAME, (48, 48), options=options).weights(), folder / "teacher.safetensors")
    return folder


def go(data: Path, out: Path, method: str, *more: str, steps: int = 4) -> Result:
    return CliRunner().invoke(main, line(data, out, method, *more, steps=steps))


def line(data: Path, out: Path, method: str, *more: str, steps: int = 4) -> list[str]:
    folder = data / "scenes" / "train2017"
    own = [*SMALL, f"distill.pretrained={data / 'teacher.safetensors'}"]
    sets = [part for setting in (*own, *more) for part in ("--set", setting)]
    given = ["--data", str(folder), "--method", method, "--out", str(out), "--steps", str(steps)]
    return ["pretrain", *given, *sets]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_learns_repeats_and_goes_on(data: Path, tmp_path: Path, method: str) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    result = go(data, whole, method)
    assert result.exit_code == 0, result.output
    start = create_backbone(NAME, (48, 48), options=OPTIONS).weights()
    made = create_backbone(
        NAME, (48, 48), pretrained=whole / "backbone.safetensors", options=OPTIONS
    ).weights()
    assert all(
        not torch.equal(made[n], start[n]) for n in ("patch_embed.proj.weight", "blocks.1.mlp.fc1.weight")
    )
    assert go(data, cut, method).exit_code == 0
    for name in ("finished.json", "checkpoints/step-00000004"):
        path = cut / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    again = CliRunner().invoke(main, ["pretrain", "--out", str(cut), "--resume"])
    assert "going on from step 2 of 4" in again.output, again.output
    assert (whole / "backbone.safetensors").read_bytes() == (cut / "backbone.safetensors").read_bytes()
    assert records(whole) == records(cut)
    assert state(whole) == state(cut)


def test_probes_of_start_end_and_teacher_are_one_table(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (data / "scenes" / "train2017" / "twin.png").write_bytes(
        (data / "scenes" / "val2017" / "000000000002.png").read_bytes()
    )
    more = [f"probe.data={data / 'scenes'}", "train.evaluate_every=2", "distill.image_size=[42, 42]"]
    result = go(data, out, "distill", *more)
    (data / "scenes" / "train2017" / "twin.png").unlink()
    assert result.exit_code == 0, result.output
    assert "1 images are validation images of probe.data too and are left out: " in result.output
    assert "twin.png." in result.output
    (table,) = json.loads((out / "details.json").read_text())["probe"]["tables"]
    assert [row[0] for row in table["rows"]] == ["update 0", "update 2", "update 4", "teacher"]
    measured = ["rank", "mean_cosine", "knn_mAP", "linear_mAP", "patch_mAP"]
    assert table["columns"][:6] == ["weights", *measured]
    assert all(cell is not None for row in table["rows"] for cell in row)
    page = (out / "report.html").read_text()
    assert all(text in page for text in ("same probes before", "update 2", "features-00000004"))
    shown = json.loads((out / "pictures" / "features-00000004.json").read_text())
    assert all(len(entry["files"]) == 4 for entry in shown)  # image, components, nearness, attention


def head_probe(data: Path) -> list[str]:
    recipe = data / "heads.toml"
    recipe.write_text(
        "[train]\nbatch_size = 2\nema = 0.5\nwarmup = 0\n[tasks.det]\nqueries = 3\n[records]\nworst = 0\n"
    )
    return [f"probe.data={data / 'scenes'}", "probe.steps=3", f"probe.config={recipe}"]


def test_the_same_heads_before_and_after_are_one_table(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = go(data, out, "distill", *head_probe(data))
    assert result.exit_code == 0, result.output
    told = json.loads((out / "heads.json").read_text())
    assert list(told) == ["before", "after"]
    (table,) = json.loads((out / "details.json").read_text())["heads"]["tables"]
    assert [row[0] for row in table["rows"]] == ["before", "after", "gain"]
    assert table["columns"] == ["weights", "det/AP", "det/AP50"]
    assert table["rows"][2][1] == pytest.approx(told["after"]["det/AP"] - told["before"]["det/AP"])
    assert "Heads before and after" in (out / "report.html").read_text()
    settings = [json.loads((out / "heads" / w / "config.json").read_text()) for w in ("before", "after")]
    starts = [one["model"].pop("pretrained") for one in settings]
    assert starts == [False, str(out / "backbone.safetensors")]
    assert settings[0] == {**settings[1], "out": settings[0]["out"]}

    weights = {w: (out / "heads" / w / "model.safetensors").read_bytes() for w in ("before", "after")}
    assert weights["before"] != weights["after"]
    for gone in ("finished.json", "heads.json", "heads/after/finished.json", "heads/after/model.safetensors"):
        (out / gone).unlink()  # as if it had been killed while the second heads were trained
    shutil.rmtree(out / "heads" / "after" / "checkpoints")
    (out / "heads" / "after" / "metrics.jsonl").unlink()
    again = CliRunner().invoke(main, ["pretrain", "--out", str(out), "--resume"])
    assert again.exit_code == 0, again.output
    assert json.loads((out / "heads.json").read_text()) == told
    assert weights == {w: (out / "heads" / w / "model.safetensors").read_bytes() for w in weights}


@pytest.mark.slow
def test_heads_are_trained_by_several_processes(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = torchrun("-m", "mtvit_train", *line(data, out, "distill", *head_probe(data)))
    assert done.returncode == 0, done.stderr
    assert list(json.loads((out / "heads.json").read_text())) == ["before", "after"]
    assert (out / "finished.json").is_file()


def test_the_shipped_backbone_has_a_recipe() -> None:
    from mtvit_train.config.pretraining import read_pretrain

    config = read_pretrain("figures", {"steps": 3}, ())
    assert (config.method, config.train.steps, config.model.image_size) == ("figures", 3, (96, 96))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["distill.pretrained=false"], "false, so the teacher would have random weights"),
        (["distill.pretrained=gone.safetensors"], "the weight file 'gone.safetensors' does not exist"),
        (["train.batch_size=3", "train.accumulate=2"], "train.batch_size is 3, which 1 process(es)"),
        (["train.parallel=fsdp"], "train.parallel is 'fsdp', which pre-training does not support; take ddp."),
        (["dino.prototype=3"], "did you mean"),
        (["probe.steps=3"], "steps is 3, but heads need labels: name a data set with data"),
        (["probe.steps=3", "probe.data=x", "probe.heads=[\"nose\"]"], "'nose' is not installed; installed:"),
    ],
)  # fmt: skip
def test_faults_are_one_line(data: Path, tmp_path: Path, more: list[str], message: str) -> None:
    result = go(data, tmp_path / "out", "distill", *more)
    assert result.exit_code == 2
    assert message.lower() in result.output.lower()
    assert not (tmp_path / "out").exists()


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    for folder, words in ((tmp_path / "gone", "no such folder"), (tmp_path, "holds no image, at any depth")):
        result = CliRunner().invoke(main, ["pretrain", "--data", str(folder), "--out", str(tmp_path / "out")])
        assert result.exit_code == 2
        assert f"data {folder}: {words}" in result.output


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_two_processes_learn_together(data: Path, tmp_path: Path, method: str) -> None:
    done = torchrun("-m", "mtvit_train", *line(data, tmp_path / "two", method))
    assert done.returncode == 0, done.stderr
    assert load_file(tmp_path / "two" / "backbone.safetensors")
