"""Knowledge tokens: fitted to a frozen teacher, given to a student that keeps them as they are."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

import mtvit_core
from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_train.cli.main import main
from mtvit_train.distillation.knowledge_token import fit_tokens, give_tokens, knowledge_tokens, with_knowledge
from mtvit_train.distillation.teacher import with_teacher_checksum
from support.training.distill_cases import error, fresh, saved, settings, whole_batch

PLAIN: dict[str, Any] = {"pose": {"variant": "vitpose-simple"}}
ASKING: dict[str, Any] = {"pose": {"variant": "vitpose-simple", "knowledge": True}}
NAME = "pose-knowledge"


@pytest.fixture(scope="module")
def teacher(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved(settings(scenes, PLAIN), tmp_path_factory.mktemp("teacher") / "teacher.safetensors")


def test_a_token_is_fitted_and_the_teacher_stays(scenes: Path, teacher: str, tmp_path: Path) -> None:
    train = {"steps": 30, "batch_size": 4, "lr": 0.05, "warmup": 0, "precision": "fp32"}
    config = settings(scenes, ASKING, train=train)
    out = tmp_path / "token.safetensors"
    losses = fit_tokens(teacher, config, out)
    assert len(losses) == 30
    before = with_knowledge(teacher, config)
    batch = whole_batch(config, before)
    after = with_knowledge(teacher, config)
    give_tokens(str(out), after)
    dict(knowledge_tokens(before))[NAME].weight.copy_(0.02 * torch.randn(1, 24))
    assert error(after, batch) < 0.99 * error(before, batch)
    known = mtvit_core.load(teacher).state_dict()
    assert all(torch.equal(after.state_dict()[name], value) for name, value in known.items())
    assert set(after.state_dict()) - set(known) == {f"tasks.pose.tokens.{NAME}.weight"}


def test_a_run_gives_its_student_the_token_and_leaves_it(scenes: Path, teacher: str, tmp_path: Path) -> None:
    token, out = tmp_path / "token.safetensors", tmp_path / "run"
    more = [
        "train.batch_size=2",
        "train.precision=fp32",
        "train.steps=2",
        "tasks.pose.variant=vitpose-simple",
    ]
    model = [
        "model.backbone=vit_tiny_patch16_224",
        "model.options={patch_size=16, embed_dim=24, depth=3, num_heads=2}",
    ]
    sets = [part for one in more for part in ("--set", one)]
    command = ["--data", str(scenes), "--plugins", "pose"]
    fitted = CliRunner().invoke(main, ["knowledge-token", teacher, *command, "--out", str(token), *sets])
    assert fitted.exit_code == 0, fitted.output
    assert "step 2 of 2: loss " in fitted.output
    sizes = ["model.image_size=[64, 64]", "model.person_size=[64, 48]"]
    asked = ["tasks.pose.knowledge=true", f"distill.token={token}", f"distill.teacher={teacher}"]
    sets += [part for one in (*model, *sizes, *asked) for part in ("--set", one)]
    result = CliRunner().invoke(main, [*command, "--out", str(out), *sets])
    assert result.exit_code == 0, result.output
    trained = mtvit_core.load(out / "model.safetensors")
    weight = dict(knowledge_tokens(trained))[NAME].weight
    assert torch.equal(weight, load_file(token)[NAME])
    assert weight.abs().sum() > 0


def test_the_token_is_read(scenes: Path) -> None:
    config = settings(scenes, ASKING)
    model = fresh(config).eval()
    torch.nn.init.normal_(model.modules_of("pose").head.final_layer.weight)
    batch = whole_batch(config, model)
    without = error(model, batch)
    dict(knowledge_tokens(model))[NAME].weight.copy_(torch.randn(1, 24))
    assert error(model, batch) != without
    assert NAME not in " ".join(name for name, _ in model.named_parameters())


def test_errors_about_tokens_are_one_line(scenes: Path, teacher: str, tmp_path: Path) -> None:
    asking, plain = fresh(settings(scenes, ASKING)), fresh(settings(scenes, PLAIN))
    give_tokens("", plain)
    path = str(tmp_path / "token.safetensors")
    save_file({NAME: torch.ones(1, 32)}, path)
    with pytest.raises(ConfigError) as caught:
        give_tokens("", asking)
    assert str(caught.value) == (
        "config: the knowledge token 'pose-knowledge' is asked for, but distill.token is empty; name a file, "
        "as mtvit-train knowledge-token writes it."
    )
    with pytest.raises(ConfigError) as caught:
        give_tokens(path, plain)
    assert str(caught.value) == (
        f"distill.token {path}: no task asks for a knowledge token; --set tasks.pose.knowledge=true."
    )
    with pytest.raises(CheckpointError) as misfit:
        give_tokens(path, asking)
    assert str(misfit.value) == (
        f"distill.token {path}: its token 'pose-knowledge' has shape (1, 32), the student's (1, 24); fit one "
        "to a teacher of the same width, with mtvit-train knowledge-token."
    )
    with pytest.raises(CheckpointError, match=r"distill\.token nowhere: not a readable safetensors file"):
        give_tokens("nowhere", asking)
    with pytest.raises(ConfigError) as caught:
        with_knowledge(teacher, settings(scenes, PLAIN))
    assert str(caught.value) == (
        "knowledge token: no task of pose asks for one; --set tasks.pose.knowledge=true."
    )
    with pytest.raises(ConfigError) as caught:
        fresh(settings(scenes, {"pose": {"queries": 4, "knowledge": True}}))
    assert str(caught.value) == (
        "tasks.pose.knowledge: variant 'onepass' takes no knowledge token, only vitpose and vitpose-simple "
        "do; leave it false."
    )
    assert with_teacher_checksum(settings(scenes, ASKING, distill={"token": path})).distill.token == path
