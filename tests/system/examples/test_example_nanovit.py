"""The example of a stranger's backbone: held to the contract, trained, loaded and exported."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import mtvit_core
from mtvit_core.cli.main import main as mtvit
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_train.cli.main import main as train_command
from mtvit_train.scenes.writer import write_scenes
from support.commands.installed_example import EXAMPLES, installed

SPEC = importlib.util.spec_from_file_location(
    "nanovit_kit_tests", EXAMPLES / "mtvit-nanovit" / "tests" / "test_nanovit.py"
)
assert SPEC is not None
assert SPEC.loader is not None
own_tests = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(own_tests)


@pytest.fixture(scope="module")
def nanovit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The example's module of the backbone."""
    with installed("nanovit", tmp_path_factory.mktemp("nanovit"), module="backbone") as module:
        yield module


@pytest.mark.usefixtures("nanovit")
class TestNanoViT(own_tests.TestNanoViT):
    """The example passes its own tests."""


@pytest.mark.usefixtures("nanovit")
def test_a_foreign_backbone_is_trained_loaded_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (
        "scenes.train=4", "scenes.val=2", "scenes.size=64", "train.batch_size=4", "train.steps=12",
        "train.lr=3e-3", "train.warmup=0", "train.log_every=1", "model.backbone=nanovit:tiny",
        "model.options={ width = 24, depth = 2, heads = 2 }", "model.image_size=[64, 64]",
        "tasks.det.queries=4", "tasks.seg.queries=4", "train.device=cpu", "train.precision=fp32",
        "augment.enabled=false", "train.layer_decay=0.8", "train.optimizer=muon", "train.checkpointing=true",
        "train.weighting=gradnorm",
    )  # fmt: skip
    line = ["--plugins", "det,seg", "--out", "run", *(word for s in settings for word in ("--set", s))]
    done = CliRunner().invoke(train_command, line)
    assert done.exit_code == 0, done.output
    records = [json.loads(text) for text in Path("run/metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if record["kind"] == "train"]
    assert losses[-1] < 0.8 * losses[0]

    model = mtvit_core.load("run/model.safetensors")
    assert (model.backbone.name, type(model.backbone).__name__) == ("nanovit:tiny", "NanoViT")
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    found = mtvit_core.export(model).module()(images)
    with torch.no_grad():
        torch.testing.assert_close(found["det/logits"], model(images)["det"].logits, rtol=1e-4, atol=1e-4)

    listed = json.loads(CliRunner().invoke(mtvit, ["plugins", "--json"]).stdout)["backbones"]
    assert [(family["name"], family["distribution"]) for family in listed] == [
        ("plain", "mtvit-core"),
        ("crossvit", "mtvit-core"),
        ("mvt", "mtvit-core"),
        ("elastic", "mtvit-core"),
        ("branched", "mtvit-core"),
        ("nanovit", "mtvit-nanovit"),
    ]


@pytest.mark.usefixtures("nanovit")
def test_a_foreign_backbone_is_pretrained(tmp_path: Path) -> None:
    write_scenes(tmp_path / "scenes", train=6, val=1, seed=1, size=64)
    settings = (
        "model.backbone=nanovit:tiny", "model.options={width = 24, depth = 2}", "model.image_size=[64, 64]",
        "model.pretrained=false", "train.batch_size=4", "train.device=cpu",
    )  # fmt: skip
    line = ["--data", str(tmp_path / "scenes" / "train2017"), "--method", "figures", "--steps", "3"]
    line += ["--out", str(tmp_path / "run"), *(word for s in settings for word in ("--set", s))]
    done = CliRunner().invoke(train_command, ["pretrain", *line])
    assert done.exit_code == 0, done.output
    out = tmp_path / "run" / "backbone.safetensors"
    made = mtvit_core.create_backbone("nanovit:tiny", (64, 64), out, {"width": 24, "depth": 2})
    kept = load_file(out)
    assert kept.keys() == made.state_dict().keys()
    torch.testing.assert_close(made.state_dict()["registers"], kept["registers"].float())


@pytest.mark.usefixtures("nanovit")
def test_what_the_family_refuses(tmp_path: Path) -> None:
    def complaint(kind: type[Exception], name: str = "nanovit:tiny", **arguments: object) -> str:
        with pytest.raises(kind) as error:
            mtvit_core.create_backbone(name, (64, 64), **arguments)
        return str(error.value)

    assert complaint(ConfigError, "nanovit:tini") == (
        "backbone 'nanovit:tini': there is no such model; there are nanovit:tiny, nanovit:small. "
        "Did you mean 'nanovit:tiny'?"
    )
    assert complaint(ConfigError, pretrained=True) == (
        "backbone 'nanovit:tiny': nobody publishes weights of it; give model.pretrained a file, or false."
    )
    save_file({"norm.bias": torch.zeros(96)}, tmp_path / "w.safetensors")
    found = complaint(CheckpointError, pretrained=tmp_path / "w.safetensors")
    assert found.startswith(
        f"backbone 'nanovit:tiny': the weights of {tmp_path / 'w.safetensors'} do not fit: "
    )
