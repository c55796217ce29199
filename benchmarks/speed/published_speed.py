"""Latency of converted models against the models of transformers with the same weights, on the CPU in fp32.

    python -m benchmarks.speed.published_speed --rounds 5

One image at a time; both sides take turns, so that they see the same machine, and the ratio of medians is
what counts. On a busy machine, --cpu-time with --threads 1 counts the processor's time. Weights are random.
transformers runs EoMT twice: as it does unless told otherwise, with masks predicted before each of the last
blocks, and with them switched off, as ours and the authors' code predict.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from benchmarks.speed.one_pass import alternate
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    PreTrainedModel,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    YolosConfig,
    YolosForObjectDetection,
)

import mtvit_core
from mtvit_core.model.modes import evaluating

#: Width and heads of the two sizes.
SIZES = {"S": (384, 6), "B": (768, 12)}
#: Most that our latency may be of theirs.
TARGETS = {"YOLOS": 1.0, "EoMT": 0.75, "ViTPose": 1.0}
#: Rows and columns of the image, or crop.
CANVAS = {"YOLOS": (800, 1056), "EoMT": (640, 640), "ViTPose": (256, 192)}


def main() -> None:
    """Print a table of median latencies and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    what = "CPU time" if options.cpu_time else "latency"
    click.echo(f"{what}, {torch.get_num_threads()} threads, fp32, one image, {options.rounds} rounds")
    for kind in options.only.split(","):
        for size in SIZES:
            compare(kind, size, options.rounds, clock)


def compare(kind: str, size: str, rounds: int, clock: Callable[[], float]) -> None:
    """Time one model on both sides."""
    name, make = f"{kind}-{size}", {"YOLOS": yolos, "EoMT": eomt, "ViTPose": vitpose}[kind]
    theirs: PreTrainedModel = make(*SIZES[size])
    for value in theirs.parameters():
        torch.nn.init.normal_(value, std=0.02)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(Path(folder))
        ours = mtvit_core.load(folder)
    canvas = CANVAS[kind]
    image = torch.randint(0, 256, (1, 3, *canvas), dtype=torch.uint8)
    pixels = ours.backbone.normalise(image)
    passes: dict[str, Callable[[], Any]] = {
        "mtvit": lambda: ours(image),
        "transformers": lambda: theirs(pixels),
    }
    if kind == "EoMT":
        passes["transformers, masks off"] = lambda: without_masks(theirs, pixels)
    with evaluating(ours):
        medians = {side: statistics.median(t) for side, t in alternate(passes, rounds, clock).items()}
    for side, median in medians.items():
        ratio = "" if side == "mtvit" else f"   ours is {medians['mtvit'] / median:5.2f} x"
        click.echo(f"{name:10s} {canvas[0]} x {canvas[1]} {side:24s} {median * 1e3:8.1f} ms{ratio}")
    click.echo(f"{'':10s} target: at most {TARGETS[kind]} x that of transformers")


def yolos(width: int, heads: int) -> YolosForObjectDetection:
    """A YOLOS of this width with random weights."""
    grid = [512, 864] if width == 384 else [800, 1344]
    settings = YolosConfig(
        hidden_size=width,
        num_attention_heads=heads,
        intermediate_size=4 * width,
        image_size=grid,
        num_labels=91,
    )
    return YolosForObjectDetection(settings).eval()


def eomt(width: int, heads: int) -> EomtForUniversalSegmentation:
    """An EoMT of this width with random weights."""
    settings = EomtConfig(
        hidden_size=width,
        num_hidden_layers=12,
        num_attention_heads=heads,
        num_blocks=3,
        num_queries=200,
        num_labels=133,
    )
    return EomtForUniversalSegmentation(settings).eval()


def vitpose(width: int, _: int) -> VitPoseForPoseEstimation:
    """A ViTPose of this width with random weights and the classic decoder; it has 12 heads at any width."""
    backbone = VitPoseBackboneConfig(hidden_size=width, num_attention_heads=12, out_indices=[12])
    labels = {i: f"keypoint {i}" for i in range(17)}
    return VitPoseForPoseEstimation(
        VitPoseConfig(backbone_config=backbone, use_simple_decoder=False, id2label=labels)
    ).eval()


def without_masks(model: EomtForUniversalSegmentation, pixels: torch.Tensor) -> None:
    """Run a model of transformers with masked attention switched off, as trained models end."""
    kept = model.attn_mask_probs.clone()
    model.attn_mask_probs.zero_()
    model(pixels)
    model.attn_mask_probs.copy_(kept)


if __name__ == "__main__":
    main()
