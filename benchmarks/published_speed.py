"""Latency of converted models against the models of transformers with the same weights, on the CPU in fp32.

    python benchmarks/published_speed.py --rounds 5

One image at a time; both sides take turns, so that they see the same machine, and the ratio of medians is
what counts. Weights are random. transformers runs EoMT twice: as it does unless told otherwise, with masks
predicted before each of the last blocks, and with them switched off, as ours and the authors' code predict.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from one_pass import alternate
from transformers import EomtConfig, EomtForUniversalSegmentation, YolosConfig, YolosForObjectDetection

import mtvit_core
from mtvit_core.model import evaluating

#: Width and heads of the two sizes.
SIZES = {"S": (384, 6), "B": (768, 12)}
#: Most that our latency may be of theirs.
TARGETS = {"YOLOS": 1.0, "EoMT": 0.75}


def main() -> None:
    """Print a table of median latencies and their ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--only", default="YOLOS,EoMT")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    click.echo(f"{torch.get_num_threads()} threads, fp32, one image, {options.rounds} rounds")
    for kind in options.only.split(","):
        for size in SIZES:
            compare(f"{kind}-{size}", kind, size, options.rounds)


def compare(name: str, kind: str, size: str, rounds: int) -> None:
    """Time one model on both sides."""
    theirs = yolos(*SIZES[size]) if kind == "YOLOS" else eomt(*SIZES[size])
    for value in theirs.parameters():
        torch.nn.init.normal_(value, std=0.02)
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(Path(folder))
        ours = mtvit_core.load(folder)
    canvas = (800, 1056) if kind == "YOLOS" else (640, 640)
    image = torch.randint(0, 256, (1, 3, *canvas), dtype=torch.uint8)
    pixels = ours.backbone.normalise(image)
    passes: dict[str, Callable[[], Any]] = {
        "mtvit": lambda: ours(image),
        "transformers": lambda: theirs(pixels),
    }
    if kind == "EoMT":
        passes["transformers, masks off"] = lambda: without_masks(theirs, pixels)
    with evaluating(ours):
        medians = {side: statistics.median(t) for side, t in alternate(passes, rounds).items()}
    for side, median in medians.items():
        ratio = "" if side == "mtvit" else f"   ours is {medians['mtvit'] / median:5.2f} x"
        click.echo(f"{name:8s} {canvas[0]} x {canvas[1]} {side:24s} {median * 1e3:8.1f} ms{ratio}")
    click.echo(f"{'':8s} target: at most {TARGETS[kind]} x that of transformers")


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


def without_masks(model: EomtForUniversalSegmentation, pixels: torch.Tensor) -> None:
    """Run a model of transformers with masked attention switched off, as trained models end."""
    kept = model.attn_mask_probs.clone()
    model.attn_mask_probs.zero_()
    model(pixels)
    model.attn_mask_probs.copy_(kept)


if __name__ == "__main__":
    main()
