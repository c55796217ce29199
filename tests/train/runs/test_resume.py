"""Exact resume: a run that was stopped anywhere and resumed is, bit for bit, the run that was not."""

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from mtvit_train.distributed.stop_signals import STOPPED, StopAsked, StopRequest
from mtvit_train.engine import evaluate
from mtvit_train.engine.course import Course
from mtvit_train.engine.meter import Report
from mtvit_train.engine.trainer import Trainer
from mtvit_train.recording.records import Records
from mtvit_train.scenes import writer
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.state.atomic_folder import read_folder, write_folder
from mtvit_train.state.state_tree import split
from support.training.resume_cases import arguments, differences, records, run, trainer


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=4, seed=3, size=64)
    return folder


# The trainer


def told(report: Report) -> dict[str, Any]:
    found = asdict(report)
    del found["pace"]
    return found


def go(run: Trainer[MultiTaskViT], until: int | None = None) -> list[Any]:
    """Train, up to a step; return what was said. Evaluations draw numbers, which must not matter."""
    said: list[Any] = []
    stop = StopRequest()

    def report(found: Report) -> None:
        said.append(told(found))

    def look(step: int) -> None:
        torch.rand(3 + len(said))
        said.append(("evaluated", step))

    update = run.update

    def counted(*given: Any) -> Any:
        found = update(*given)
        stop.cause = "SIGTERM" if run.step == until else ""
        return found

    run.update = counted  # type: ignore[method-assign]
    if until is None:
        run.run(Course(report, look))
    else:
        with pytest.raises(StopAsked):
            run.run(Course(report, look), stop)
    return said


def equal(one: Trainer[MultiTaskViT], other: Trainer[MultiTaskViT]) -> bool:
    (ours, plain), (theirs, rest) = split(one.state_dict()), split(other.state_dict())
    del plain["random"]["python"], rest["random"]["python"]  # checks of shapes draw from it
    return (
        plain == rest and ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
    )


CASES: dict[str, tuple[dict[str, dict[str, Any]], dict[str, Any]]] = {
    "adamw": ({"det": {"queries": 6}, "seg": {"queries": 6, "sampling": "points", "points": 64}}, {}),
    "muon": ({"det": {"queries": 6}}, {"optimizer": "muon", "ema": 0.0}),
    "person": (
        {"det": {"queries": 6}, "pose": {"variant": "vitpose"}},
        {"accumulate": 2, "weighting": "gradnorm"},
    ),
}


@pytest.fixture(scope="module", params=CASES)
def whole(request: pytest.FixtureRequest, scenes: Path) -> tuple[str, Trainer, list[Any]]:
    """A case, its run that nobody stops, and what was said in it."""
    tasks, settings = CASES[request.param]
    made = trainer(scenes, tasks, **settings)
    return request.param, made, go(made)


@pytest.mark.parametrize("step", [1, 4, 5], ids=["early", "at an evaluation", "at an epoch's end"])
def test_a_trainer_goes_on_as_if_it_had_not_stopped(
    whole: tuple[str, Trainer, list[Any]], step: int, scenes: Path, tmp_path: Path
) -> None:
    case, unstopped, said = whole
    tasks, settings = CASES[case]
    first = trainer(scenes, tasks, **settings)
    before = go(first, until=step)
    write_folder(tmp_path / "state", first.state_dict())
    torch.manual_seed(step)  # whatever this process did in between
    second = trainer(scenes, tasks, **settings)
    second.load_state_dict(read_folder(tmp_path / "state"))
    assert equal(first, second)
    second.evaluated = first.evaluated
    assert before + go(second) == said
    assert equal(unstopped, second)


# The command


@pytest.fixture(scope="module")
def finished(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight steps that nobody stops."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    result = run(*arguments(scenes, out, "det"), "--steps", "8")
    assert result.exit_code == 0, result.output
    return out


def signal_at(monkeypatch: pytest.MonkeyPatch, what: str, number: signal.Signals, place: int) -> None:
    """Send a signal when something is done for the n-th time."""
    owner, name = {
        "record": (Records, "add"),
        "update": (Trainer, "update"),
        "score": (evaluate, "_score"),
    }[what]
    original: Callable[..., Any] = getattr(owner, name)
    count = iter(range(1, 1000))

    def sending(*given: Any, **named: Any) -> Any:
        found = original(*given, **named)
        if next(count) == place:
            os.kill(os.getpid(), number)
        return found

    monkeypatch.setattr(owner, name, sending)


@pytest.mark.parametrize(
    ("what", "number", "place", "workers", "step"),
    [
        ("update", signal.SIGTERM, 2, 0, 2),
        ("score", signal.SIGINT, 2, 0, 4),
        ("update", signal.SIGUSR1, 7, 2, 7),
    ],
    ids=["in a step", "in an evaluation", "with loader processes"],
)
def test_a_signal_saves_and_the_run_goes_on(
    what: str,
    number: signal.Signals,
    place: int,
    workers: int,
    step: int,
    finished: Path,
    scenes: Path,
    tmp_path: Path,
) -> None:
    out = tmp_path / "stopped"
    with pytest.MonkeyPatch.context() as patch:
        signal_at(patch, what, number, place)
        first = run(*arguments(scenes, out, "det", train__workers=str(workers)), "--steps", "8")
    assert first.exit_code == STOPPED == 75, first.output
    line = f"stopped by {number.name}; to go on from step {step} of 8: mtvit-train --out {out} --resume"
    assert first.output.splitlines()[-1] == line
    assert not (out / "finished.json").exists()
    second = run("--out", str(out), "--resume")
    assert second.exit_code == 0, second.output
    assert f"resume {out}: going on from step {step} of 8." in second.output
    assert differences(finished, out) == []


def test_a_run_that_died_goes_on_from_its_last_checkpoint(
    finished: Path, scenes: Path, tmp_path: Path
) -> None:
    """Records after the checkpoint, a torn line among them, are made again."""
    out = tmp_path / "died"

    class Died(BaseException):
        pass

    def die(*given: Any) -> Any:
        with (out / "metrics.jsonl").open("a") as file:
            file.write('{"kind": "train", "st')
        raise Died

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mtvit_train.engine.trainer.Trainer._owes_evaluation", lambda self: self.step == 8 and die()
        )
        with pytest.raises(Died):
            run(*arguments(scenes, out, "det", train__checkpoint_every="5"), "--steps", "8")
    (out / "checkpoints" / "step-00000008").rename(tmp_path / "gone")
    assert [record["step"] for record in records_until_torn(out)] == [3, 6, 8]
    again = run("--out", str(out), "--resume")
    assert "going on from step 5 of 8" in again.output, again.output
    assert [(record["kind"], record["step"]) for record in records(out)] == [
        ("train", 3),
        ("train", 6),
        ("train", 8),
        ("eval", 8),
    ]
    ours = [record for record in records(finished) if record["kind"] == "train"]
    assert [record for record in records(out) if record["kind"] == "train"] == ours
    assert (out / "model.safetensors").read_bytes() == (finished / "model.safetensors").read_bytes()


def records_until_torn(out: Path) -> Iterator[dict[str, Any]]:
    whole = (out / "metrics.jsonl").read_text().split("\n")[:-1]
    yield from (json.loads(line) for line in whole)


def test_a_run_that_ended_is_left_alone(finished: Path) -> None:
    before = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    result = run("--out", str(finished), "--resume")
    assert result.exit_code == 0
    assert result.output == (
        f"resume {finished}: the run has ended already, at step 8; nothing is left to do.\n"
    )
    assert {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()} == before


def test_only_what_is_missing_at_the_end_is_made(
    finished: Path, scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "undrawn"
    shutil.copytree(finished, out)
    for name in ("finished.json", "predictions.png", "report.html"):
        (out / name).unlink()
    monkeypatch.setattr("mtvit_train.engine.trainer.Trainer.update", None)
    monkeypatch.setattr("mtvit_train.runs.run.evaluate_in_detail", None)
    result = run("--out", str(out), "--resume")
    assert result.exit_code == 0, result.output
    assert differences(finished, out) == []


def test_scenes_that_are_unfinished_are_made_anew(tmp_path: Path) -> None:
    out = tmp_path / "scenes-run"
    given = arguments("scenes", out, "det", scenes__train="4", scenes__val="2", scenes__size="64")
    with pytest.MonkeyPatch.context() as patch:
        signal_at_scene(patch, 3)
        first = run(*given, "--steps", "2")
    assert first.exit_code == STOPPED, first.output
    assert "to go on from step 0 of 2" in first.output
    assert not (out / "scenes" / "annotations").exists()
    (out / "scenes" / "train2017" / "000000000002.png").write_bytes(b"torn")
    assert run("--out", str(out), "--resume").exit_code == 0
    write_scenes(tmp_path / "whole", train=4, val=2, seed=0, size=64)
    for path in (tmp_path / "whole").rglob("*.*"):
        assert (out / "scenes" / path.relative_to(tmp_path / "whole")).read_bytes() == path.read_bytes()


def signal_at_scene(monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    original, count = writer.render_scene, iter(range(1, 1000))

    def sending(*given: Any) -> Any:
        if next(count) == place:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*given)

    monkeypatch.setattr(writer, "render_scene", sending)


def test_a_second_interrupt_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 10.2, 11.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)  # the same, passed on by a launcher
        assert stop.wanted()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_an_evaluation_is_stopped_between_batches(scenes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    stop = StopRequest()

    def score(evaluator: Any, results: list[ImageResult], *rest: Any) -> None:
        seen.append(len(results))
        stop.cause = "SIGTERM"

    monkeypatch.setattr(evaluate, "_score", score)
    run_ = trainer(scenes, {"det": {"queries": 6}})
    with pytest.raises(StopAsked):
        evaluate.evaluate_in_detail(run_.average.model, run_.split, batch_size=1, stop=stop)
    assert len(seen) == 1
