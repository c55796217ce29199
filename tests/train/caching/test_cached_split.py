"""Training on cached tokens: the losses of the same views without a cache, whatever happens to the files."""

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import mtvit_core
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_train.build.splits import make_split
from mtvit_train.caching.cached_split import cached_split
from mtvit_train.config.run import RunConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.samples.cached import CachedSamples
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopAsked, StopRequest
from mtvit_train.engine.trainer import Trainer
from mtvit_train.scenes.writer import CLASSES, write_scenes
from mtvit_train.weighting.fixed import make_weighting
from support.commands.processes import Forked, torchrun
from support.training.resume_cases import arguments, differences, run

TASKS: dict[str, dict[str, Any]] = {
    "det": {"queries": 6, "blocks": 2},
    "seg": {"queries": 4, "blocks": 1, "sampling": "points", "points": 64},
    "pose": {"queries": 4},
}
TOPDOWN: dict[str, dict[str, Any]] = {"pose": {"variant": "vitpose"}, "det": {"queries": 4}}
#: A decoder that reads patches of several depths, classes of whole images, and objects beside them.
WHOLE: dict[str, dict[str, Any]] = {
    "semantic": {"channels": 8, "depths": 2, "classes": list(CLASSES)},
    "depth": {"channels": 8, "depths": 2},
    "cls": {"pooling": "attention"},
    "det": {"queries": 4},
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=5, val=2, seed=3, size=64)
    return folder


def trainer(
    data: Path, cache: Path | None, tasks: dict[str, dict[str, Any]] = TASKS, **settings: Any
) -> tuple[Trainer[MultiTaskViT], list[str]]:
    """A trainer of a small model, and what was told of its cache."""
    torch.manual_seed(0)
    table = {"backbone_lr": 0.0, "steps": 8, "batch_size": 2, "precision": "fp32"} | settings
    kept = {"views": 2, "dtype": "fp32", "folder": str(cache)} if cache else {}
    kept |= {name: table.pop(name) for name in ("views", "dtype", "max_gb") if name in table}
    config = RunConfig.model_validate({"train": table, "cache": kept, "tasks": tasks, "plugins": [*tasks]})
    packed = read_coco(data, "train")
    options: dict[str, Any] = {"embed_dim": 24, "depth": 3, "num_heads": 2, "drop_path_rate": 0.3}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, tasks, packed.categories, person_canvas=(64, 48))
    split, told = make_split(config, model, packed, training=True), list[str]()
    given = cached_split(config, model, split, Ranks(), StopRequest(), told.append)
    return Trainer(model, given.split, config.train, make_weighting(config, tuple(tasks))), told


def updates(made: Trainer[MultiTaskViT], count: int = 3) -> list[dict[str, torch.Tensor]]:
    """The losses of some updates."""
    streams = {view: made._batches(view) for view in made.model.views}
    return [made.update({view: next(stream) for view, stream in streams.items()})[0] for _ in range(count)]


@pytest.mark.parametrize("tasks", [TASKS, TOPDOWN, WHOLE], ids=["objects", "people", "whole images"])
@pytest.mark.parametrize("settings", [{}, {"backbone_lr": 0.5, "frozen_blocks": 2}, {"accumulate": 2}])
def test_losses_and_weights_are_those_without_a_cache(
    scenes: Path, tmp_path: Path, tasks: dict[str, dict[str, Any]], settings: dict[str, Any]
) -> None:
    """Five images and six samples: the second epoch begins, which shows the second views."""
    (live, _), (cached, _) = (
        trainer(scenes, None, tasks, **settings),
        trainer(scenes, tmp_path, tasks, **settings),
    )
    for ours, theirs in zip(updates(cached), updates(live), strict=True):
        assert {name.partition("/")[0] for name, loss in theirs.items() if loss > 0} >= {*tasks}
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)
    weights = live.model.state_dict()
    for name, value in cached.model.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=3e-4, rtol=1e-3)


def test_half_precision_changes_the_fourth_digit(scenes: Path, tmp_path: Path) -> None:
    (live, _), (cached, _) = trainer(scenes, None), trainer(scenes, tmp_path, dtype="fp16")
    ours, theirs = updates(cached, 1)[0]["loss"], updates(live, 1)[0]["loss"]
    assert 0 < abs(ours - theirs) / theirs < 1e-3


def test_views_come_again(scenes: Path, tmp_path: Path) -> None:
    made, _ = trainer(scenes, tmp_path)
    samples = made.split.views["image"]
    assert isinstance(samples, CachedSamples)
    first, second, third = (samples[epoch, 3] for epoch in range(3))
    assert first.meta == third.meta != second.meta
    assert torch.equal(first.known[2], third.known[2])
    assert not torch.equal(first.known[2], second.known[2])
    assert not first.image.any()
    assert torch.equal(samples.samples[1, 3].annotations.boxes, second.annotations.boxes)


def test_files_are_shared_and_what_is_torn_or_stale_is_computed_again(scenes: Path, tmp_path: Path) -> None:
    trainer(scenes, tmp_path)
    assert trainer(scenes, tmp_path)[1][-1] == "cache: all of it is there."
    (path,) = tmp_path.glob("*/*.safetensors")
    whole = path.read_bytes()
    for damaged in (whole[:-9], whole[:40], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        assert "10 views computed" in trainer(scenes, tmp_path)[1][-1]
        assert path.read_bytes() == whole
    (scenes / "train2017" / "000000000001.png").touch()
    assert "10 views computed" in trainer(scenes, tmp_path)[1][-1]
    path.unlink()
    for change in ({"views": 1}, {"frozen_blocks": 1, "backbone_lr": 1}, {"seed": 1}, {"dtype": "bf16"}):
        assert "views computed" in trainer(scenes, tmp_path, **change)[1][-1], change


def test_a_file_that_goes_away_is_named(scenes: Path, tmp_path: Path) -> None:
    made, _ = trainer(scenes, tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(DataError, match=r"000000.safetensors: cached tokens cannot be read .* --resume"):
        updates(made, 1)


def test_what_cannot_be_cached_is_refused(scenes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        trainer(scenes, tmp_path, backbone_lr=1.0)
    assert str(error.value) == (
        "config: cache.views is 2, but no block is frozen, so nothing stays the same; set "
        "train.backbone_lr=0, or train.frozen_blocks to how many of the first blocks are to be."
    )
    with pytest.raises(
        ConfigError, match=r"frozen_blocks is 4, but the backbone has 3 blocks; give at most 3"
    ):
        trainer(scenes, tmp_path, frozen_blocks=4, backbone_lr=1.0)
    with pytest.raises(ConfigError) as error:
        trainer(scenes, tmp_path, max_gb=1e-5)
    assert str(error.value) == (
        "cache: 5 images x 2 views, 17 tokens at the input of blocks 1, 2, 3: 0.00 MB each, 0.00 GB, and "
        "cache.max_gb is 1e-05; raise it, or lower cache.views."
    )
    assert not any(tmp_path.iterdir())


def test_tokens_too_large_for_the_type_are_refused(scenes: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mtvit_core.backbones.plain.vit.PlainBackbone.context", _huge)
    with pytest.raises(ConfigError, match=r"block 1 reach 1e\+05, which cache.dtype='fp16' does not hold"):
        trainer(scenes, tmp_path, dtype="fp16")


def _huge(_: Any, images: torch.Tensor, depths: tuple[int, ...]) -> dict[int, torch.Tensor]:
    return {depth: torch.full((len(images), 17, 24), 1e5) for depth in depths}


def test_a_stop_keeps_what_was_computed(scenes: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mtvit_train.caching.token_files.FILE_BYTES", 1)
    monkeypatch.setattr(StopRequest, "check_here", _asked)
    with pytest.raises(StopAsked):
        trainer(scenes, tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr("mtvit_train.caching.token_files.FILE_BYTES", 1)
    assert len([*tmp_path.glob("*/*.safetensors")]) == 1
    assert "2 views computed" in trainer(scenes, tmp_path)[1][-1]


def _asked(request: StopRequest) -> None:
    request.cause = "SIGTERM"
    raise StopAsked("SIGTERM")


def test_a_killed_run_goes_on(scenes: Path, tmp_path: Path) -> None:
    """Killed while it computes tokens, or while it trains; then its cache is lost."""
    whole, out, cache = tmp_path / "whole", tmp_path / "killed", tmp_path / "cache"
    given = {"train__backbone_lr": "0", "cache__views": "2", "cache__folder": str(cache)}
    steps = ["--steps", "24", "--set", "train.evaluate_every=8"]
    line = [*arguments(scenes, out, "det", train__workers="1", **given), *steps]
    assert run(*arguments(scenes, whole, "det", **given), *steps).exit_code == 0
    killed = Forked(["-m", "mtvit_train", *line])
    until, lines = time.monotonic() + 120, random.randint(0, 7)
    while lines and (
        not (out / "metrics.jsonl").is_file() or (out / "metrics.jsonl").read_text().count("\n") < lines
    ):
        assert killed.process.is_alive(), killed.ended()
        assert time.monotonic() < until
        time.sleep(0.001)
    time.sleep(random.uniform(0, 0.05))
    killed.process.kill()
    assert killed.ended().returncode == -signal.SIGKILL
    shutil.rmtree(cache)
    again = run(*(["--out", str(out), "--resume"] if (out / "config.json").is_file() else line))
    assert again.exit_code == 0, again.output
    assert differences(whole, out) == []


@pytest.mark.slow
def test_two_processes_share_the_work(scenes: Path, tmp_path: Path) -> None:
    given = {"train__backbone_lr": "0", "cache__views": "8"}
    caches = [tmp_path / "one-cache", tmp_path / "two-cache"]
    lines = [
        [*arguments(scenes, tmp_path / name, "det,seg", cache__folder=str(cache), **given), "--steps", "4"]
        for name, cache in zip(("one", "two"), caches, strict=True)
    ]
    assert run(*lines[0]).exit_code == 0
    done = torchrun("-m", "mtvit_train", *lines[1])
    assert done.returncode == 0, done.stderr
    one, two = (sorted(cache.glob("*/*.safetensors")) for cache in caches)
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    metrics = [(tmp_path / name / "metrics.json").read_text() for name in ("one", "two")]
    assert metrics[0] == metrics[1]
