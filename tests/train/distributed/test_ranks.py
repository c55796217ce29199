"""Several processes: the same losses and metrics as one, and no process waits for one that has ended."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from mtvit_core.errors import ConfigError
from mtvit_train.cli.main import main
from mtvit_train.distributed.ranks import Ranks, joined
from mtvit_train.scenes.writer import write_scenes
from support.commands.processes import forked, torchrun
from workers import rank_worker

SETTINGS = [
    "model.backbone=vit_tiny_patch16_224",
    "model.options={patch_size=16, embed_dim=24, depth=2, num_heads=2}",
    "model.image_size=[64, 64]",
    "scenes={train=6, val=4, size=64, seed=3}",
    "train.batch_size=4",
    "train.log_every=1",
    "train.evaluate_every=2",
    "train.eval_batch_size=2",
    "train.precision=fp32",
    "train.threads=1",
    "tasks.det.queries=6",
]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Data and files of two processes that did all of ``rank_worker``, and how they ended."""
    data = tmp_path_factory.mktemp("ranks") / "scenes"
    write_scenes(data, train=2, val=7, seed=3, size=64)
    return data, forked(rank_worker.__file__, str(data))


@pytest.fixture(scope="module")
def found(together: tuple[Path, subprocess.CompletedProcess[str]]) -> list[dict[str, Any]]:
    """What each process found."""
    return [json.loads((together[0] / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def test_processes_know_each_other(found: list[dict[str, Any]]) -> None:
    assert [one["ranks"] for one in found] == [[0, 2, 0], [1, 2, 1]]
    assert [one["lead"] for one in found] == ["returned 0"] * 2
    assert [one["together"] for one in found] == ["returned 0", "returned 1"]
    assert [one["gather"] for one in found] == [[0, 1], []]
    assert [one["largest"] for one in found] == [1, 1]
    assert [one["count"] for one in found] == [[1, 0.5]] * 2


def test_what_fails_in_one_process_ends_all_and_is_said_once(found: list[dict[str, Any]]) -> None:
    assert [one["lead fails"] for one in found] == ["ConfigError config: no.", "SystemExit 2"]
    assert [one["one fails"] for one in found] == ["SystemExit 2", "ConfigError config: no."]
    assert [one["both fail"] for one in found] == ["ConfigError config: no.", "SystemExit 2"]


def test_a_signal_to_one_process_stops_all(found: list[dict[str, Any]]) -> None:
    other = "a signal to another process"
    # The second process stops at once where it need not wait for the first, which goes to its end.
    assert [one["stops"] for one in found] == [
        [False, other, other, 3],
        [False, "SIGUSR1", "SIGUSR1", 1],
    ]


def test_a_process_does_not_wait_for_one_that_has_ended(
    together: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = together[1]
    assert done.returncode == 1
    assert "DataError: process 1: image 3: torn." in done.stderr
    lost = "process 0: lost the other processes of this run; the one that ended first says why."
    assert lost in done.stderr


def test_a_parameter_that_one_process_does_not_read_is_exchanged(found: list[dict[str, Any]]) -> None:
    # (3 * 1 + 3 * 2) / 2 images, times 2, and half of the processes read the second number, 3
    assert [one["gradients"] for one in found] == [[9 + 1.5, 4.5, 0.5]] * 2


def test_evaluators_of_two_processes_hold_each_image_once(
    together: tuple[Path, subprocess.CompletedProcess[str]], found: list[dict[str, Any]]
) -> None:
    alone = json.loads(json.dumps(rank_worker.evaluation(together[0])))
    assert found[0]["evaluation"] == alone
    assert found[1]["evaluation"]["metrics"] == alone["metrics"]
    own = set(found[1]["evaluation"]["states"]["det"])
    assert own < set(alone["states"]["det"])
    assert len(alone["states"]["det"]) == 7


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Folders of the same run in one process and in two, and what the two printed."""
    folder = tmp_path_factory.mktemp("runs")
    one, two = folder / "one", folder / "two"
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    arguments = ["--plugins", "det", "--steps", "4", *sets]
    alone = CliRunner().invoke(main, [*arguments, "--out", str(one)])
    assert alone.exit_code == 0, alone.output
    done = torchrun("-m", "mtvit_train", *arguments, "--out", str(two))
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr.replace("FutureWarning", "")
    return one, two, done.stdout


def test_a_run_in_two_processes_is_the_run_in_one(runs: tuple[Path, Path, str]) -> None:
    one, two, _ = runs
    lines = [
        [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for folder in (one, two)
    ]
    paces = {"images_per_s", "step_s", "data_wait", "loader_images_per_s", "gpu_peak_mb"}
    for alone, shared in zip(*lines, strict=True):
        assert alone.keys() == shared.keys()
        if alone["kind"] == "eval":
            assert alone == shared
            continue
        names = sorted(alone.keys() - paces - {"kind"})
        assert [shared[name] for name in names] == pytest.approx([alone[name] for name in names], rel=1e-5)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (one, two)]
    assert metrics[0] == metrics[1]


def test_one_process_writes_and_prints(runs: tuple[Path, Path, str]) -> None:
    one, two, printed = runs
    assert {path.name for path in one.iterdir()} == {path.name for path in two.iterdir()}
    assert printed.count("step 4/4") == 1
    assert printed.count("Model, metrics and pictures are in") == 1


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    assert Ranks(1, 3).share(12, 2) == 4
    with pytest.raises(ConfigError) as caught:
        Ranks(1, 3).share(16, 2)
    assert str(caught.value) == (
        "config: train.batch_size is 16, which 3 process(es) with train.accumulate = 2 cannot share out "
        "evenly; the nearest that fits is 18."
    )


def test_processes_do_not_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        Ranks(1, 2, 1).device("cuda:0")
    assert str(caught.value) == (
        "config: train.device is 'cuda:0', but this run has 2 processes, each with a device of its own; take "
        "auto, cuda or cpu."
    )
    assert Ranks(1, 2, 1).device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Ranks(1, 2, 1).device("auto") == torch.device("cpu")


def test_a_process_alone_joins_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as ranks:
        assert ranks == Ranks(0, 1, 0) == Ranks.current()
        assert ranks.leads
        assert ranks.lead(lambda: 3) == ranks.together(lambda: 3) == 3
        assert ranks.gather(4) == [4]
        assert ranks.largest(0.5, torch.device("cpu")) == 0.5
