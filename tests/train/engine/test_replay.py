"""Where numbers are not finite: what is named, what stays as it was, and that the step can be seen again."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtvit_core.errors import DivergedError
from mtvit_det.task import Detection
from mtvit_train.data.samples.images import collate
from mtvit_train.engine.course import Course
from mtvit_train.engine.non_finite import wild_gradients
from mtvit_train.engine.replay import load_diverged, replay
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.batch_state import batch_of, batch_state
from mtvit_train.state.state_tree import join, split
from support.training.resume_cases import arguments, run, trainer


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=2, seed=3, size=64)
    return folder


class Root(torch.autograd.Function):
    """The square root of 0, whose value is finite and whose gradient is not."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]
        return gradient * torch.inf


def spoil(kind: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the det task diverge at an update: its loss, its gradient, or its matching costs."""
    loss, cost = Detection.loss, Detection.cost
    update = Trainer.update
    now = [False]

    def updating(self: Trainer[Any], *given: Any) -> Any:
        now[0] = self.step == at
        return update(self, *given)

    def losing(self: Any, *given: Any) -> dict[str, Tensor]:
        terms = loss(self, *given)
        if now[0] and kind == "loss":
            terms["giou"] = terms["giou"] / 0
        if now[0] and kind == "gradient":
            terms["l1"] = Root.apply(terms["l1"])
        return terms

    def costing(self: Any, *given: Any) -> Tensor | None:
        found = cost(self, *given)
        return found * torch.nan if now[0] and kind == "cost" and found is not None else found

    monkeypatch.setattr(Trainer, "update", updating)
    monkeypatch.setattr(Detection, "loss", losing)
    monkeypatch.setattr(Detection, "cost", costing)


@pytest.mark.parametrize(
    ("kind", "words", "seen"),
    [
        (
            "loss",
            r"step 2: det/giou is not finite, so the weights were not updated; lower train.lr",
            ("det/giou", "inf"),
        ),
        (
            "gradient",
            r"step 2: the gradient of det/l1 at \S+ is not finite, so the weights were not updated",
            ("det/l1", "with a wild gradient at "),
        ),
        (
            "cost",
            r"step 2: matching of 'det': the cost of image 0 of the batch at supervised layer 0 is NaN; .* "
            r"The weights were not updated\.",
            ("cost", "matching of 'det'"),
        ),
    ],
)
def test_a_step_that_diverges_is_named_and_can_be_seen_again(
    kind: str,
    words: str,
    seen: tuple[str, str],
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "run"
    spoil(kind, 2, monkeypatch)
    result = run(*arguments(scenes, out, "det,seg"), "--steps", "4")
    assert result.exit_code == 2, result.output
    line = result.output.splitlines()[-1]
    assert re.search(words, line), line
    folder = out / "diverged"
    assert line.endswith(
        " To see the step again: python -c 'from mtvit_train.engine.replay import replay; "
        f"""print(replay('"'"'{folder}'"'"'))'"""
    )
    found = replay(folder)
    assert seen[1] in found[seen[0]]
    monkeypatch.undo()
    assert all(text.replace(".", "").replace("e-", "").isdigit() for text in replay(folder).values())


def test_the_step_is_that_of_the_run(scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, batch and random numbers: the losses are those that the run would have had."""
    tasks = {"det": {"queries": 6}, "seg": {"queries": 6, "sampling": "points", "points": 64}}
    settings = {"weighting": "gradnorm", "log_every": 1, "steps": 3, "evaluate_every": 0}
    whole: list[dict[str, float]] = []
    trainer(scenes, tasks, **settings).run(Course(lambda report: whole.append(report.losses)))
    out = tmp_path / "run"
    spoil("gradient", 2, monkeypatch)
    given = {f"train__{key}": str(value) for key, value in settings.items()}
    given |= {"train__checkpoint_every": "0", "train__ema": "0.998", "tasks__seg__points": "64"}
    result = run(*arguments(scenes, out, "det,seg", **given))
    assert result.exit_code == 2
    monkeypatch.undo()
    step = load_diverged(out / "diverged")
    assert step.step == 2
    (losses,) = step.losses()
    expected = whole[2]
    assert {name: float(value.detach()) for name, value in losses.items()} == {
        name: value for name, value in expected.items() if name != "loss"
    }


def test_buffers_and_weights_are_those_before_the_step(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The statistics of batch norms too."""
    tasks: dict[str, dict[str, Any]] = {"det": {"queries": 6}, "pose": {"variant": "vitpose"}}
    spoil("loss", 2, monkeypatch)
    run_ = trainer(scenes, tasks)
    before: dict[str, Tensor] = {}
    update = Trainer.update

    def updating(self: Trainer[Any], *given: Any) -> Any:
        if self.step == 2:
            before.update({name: value.clone() for name, value in self.model.state_dict().items()})
        return update(self, *given)

    monkeypatch.setattr(Trainer, "update", updating)
    with pytest.raises(DivergedError):
        run_.run(Course())
    assert any("running_mean" in name for name in before)
    assert all(torch.equal(before[name], value) for name, value in run_.model.state_dict().items())


def test_a_batch_comes_back_as_it_was(scenes: Path) -> None:
    run_ = trainer(scenes, {"det": {"queries": 6}, "seg": {"queries": 6}})
    dataset = run_.split.views["image"]
    batch = collate([dataset[(0, 0)], dataset[(0, 1)]])
    tensors, plain = split(batch_state(batch))
    found = batch_of(join(plain, lambda path, rows: tensors[path]))
    assert torch.equal(found.images, batch.images)
    assert found.meta == batch.meta
    for ours, theirs in zip(found.annotations, batch.annotations, strict=True):
        assert ours.has == theirs.has
        assert torch.equal(ours.boxes, theirs.boxes)
        assert ours.masks is not None
        assert theirs.masks is not None
        assert torch.equal(ours.masks, theirs.masks)


def test_only_the_wild_term_is_blamed() -> None:
    layer = nn.Linear(2, 1)
    tame = layer(torch.ones(1, 2)).sum()
    assert wild_gradients({"a/x": tame, "b/y": Root.apply(tame)}, layer) == {"b/y": "weight"}
