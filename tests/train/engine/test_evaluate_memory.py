"""What evaluation holds at a time: the true masks of one image, the results of one batch."""

import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch

import mtvit_core
from mtvit_core.inference import results
from mtvit_core.model.backbone import create_backbone
from mtvit_core.results.image_result import ImageResult
from mtvit_train.build.splits import make_split
from mtvit_train.config.run import RunConfig, TrainConfig
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.data.packed import PackedAnnotations
from mtvit_train.engine.evaluate import evaluate_tasks
from mtvit_train.scenes.writer import write_scenes

ROOT = Path(__file__).resolve().parents[3]


class Alive:
    """Counts how many of the objects it was shown are still there."""

    def __init__(self) -> None:
        self.shown: list[weakref.ref] = []
        self.most = 0

    def show(self, thing: object) -> None:
        self.shown = [ref for ref in self.shown if ref() is not None] + [weakref.ref(thing)]
        self.most = max(self.most, len(self.shown))


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory):
    """A model of det and seg, and nine images to evaluate it on."""
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=1, val=9, seed=3, size=64)
    torch.manual_seed(0)
    packed = read_coco(folder, "val")
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 64), options=options)
    model = mtvit_core.build(backbone, {"det": {"queries": 6}, "seg": {"queries": 6}}, packed.categories)
    return model, make_split(RunConfig(), model, packed, training=False)


def test_true_masks_of_one_image_at_a_time(evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, original, seen = Alive(), PackedAnnotations.original, []

    def watched(self, index, needs=frozenset({"boxes", "masks"})):
        truth = original(self, index, needs)
        seen.append(index)
        if truth.masks is not None:
            alive.show(truth.masks)
        return truth

    monkeypatch.setattr(PackedAnnotations, "original", watched)
    evaluate_tasks(*evaluated, batch_size=4)
    assert len(seen) == 2 * 9
    assert alive.most == 1


def test_results_of_one_batch_at_a_time(evaluated, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, decode = Alive(), results.decode

    def watched(*arguments):
        found = decode(*arguments)
        for result in found:
            alive.show(result)
        return found

    monkeypatch.setattr(results, "decode", watched)
    evaluate_tasks(*evaluated, batch_size=2)
    # Two tasks, a batch of each, one before it that is being scored, and the last image, which might go on.
    assert alive.most <= 2 * (2 + 2 + 1) < 2 * 9
    assert not any(isinstance(ref(), ImageResult) for ref in alive.shown)


def test_samples_for_evaluation_decode_no_masks(evaluated) -> None:
    sample = evaluated[1].views["image"][0, 0]
    assert sample.annotations.masks is None
    assert not sample.annotations.has


def test_a_pass_of_evaluation_is_no_larger_than_one_of_training() -> None:
    config = TrainConfig(batch_size=16, accumulate=2)
    assert (config.images_per_pass(1), config.images_per_pass(4)) == (8, 2)
    assert TrainConfig(batch_size=1).images_per_pass(1) == 1
    assert TrainConfig(eval_batch_size=25).images_per_pass(4) == 25


@pytest.mark.slow
def test_evaluation_needs_less_than_training() -> None:
    command = [sys.executable, "benchmarks/training/evaluation_memory.py", "--size", "640", "--depth", "4"]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in table.splitlines() if line.startswith("Peak of evaluation")]
    assert float(line.rsplit(" ", 1)[1]) < 1
