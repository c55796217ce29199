"""What letterboxing inside an exported graph costs, against the graph of canvases with and without resizing.

    python -m benchmarks.speed.letterboxed --runtime onnx openvino --sizes 480 640 720 1280 1080 1920

Processor time of one image by one thread, in turns: a pass of a canvas; a canvas that is resized from the
image outside, by mtvit; and the image itself, which the graph letterboxes. Random weights.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import get_args

import click
import torch
from benchmarks.speed.one_pass import alternate

import mtvit_core
from mtvit_core.deploy.graph.capture import capture
from mtvit_core.deploy.graph.files import ENDINGS, Target, write
from mtvit_core.deploy.runtime.session import open_session


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--canvas", type=int, default=640)
    parser.add_argument("--runtime", nargs="+", choices=get_args(Target), default=["onnx", "openvino"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[480, 640, 720, 1280, 1080, 1920])
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tasks = ["det", "seg", "pose"]
    model = mtvit_core.build(options.backbone, tasks, canvas=(options.canvas, options.canvas)).eval()
    sizes = list(zip(options.sizes[::2], options.sizes[1::2], strict=True))
    click.echo("| runtime | image | canvas, ms | resized outside | inside |")
    click.echo("|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for target in options.runtime:
            files = [Path(folder) / f"{name}{ENDINGS[target]}" for name in ("canvas", "image")]
            for file, letterbox in zip(files, (False, True), strict=True):
                write(capture(model, "image", letterbox=letterbox), target, file)
            plain, own = (open_session(file, threads=1) for file in files)
            for size in sizes:
                image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
                canvas = model.framing.apply(image)
                ways = {
                    "canvas": lambda plain=plain, canvas=canvas: plain.run(canvas[None].numpy()),
                    "outside": lambda plain=plain, image=image: plain.run(
                        model.framing.apply(image)[None].numpy()
                    ),
                    "inside": lambda own=own, image=image: own.run(image[None].numpy()),
                }
                times = alternate(ways, options.rounds, time.process_time)
                base, outside, inside = (1000 * statistics.median(taken) for taken in times.values())
                cells = f"{base:.0f} | {outside / base:.2f} | {inside / base:.2f}"
                click.echo(f"| {target} | {size[0]} x {size[1]} | {cells} |")


if __name__ == "__main__":
    main()
