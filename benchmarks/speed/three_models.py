"""Boxes, masks and skeletons of one image: one pass of ours against three models of transformers in a row.

    python -m benchmarks.speed.three_models --rounds 5

ViT-S/16 at 640 x 640, fp32, on the CPU, random weights, results made on both sides. Theirs: YOLOS-S, EoMT-S
with its masked attention switched off, as trained models end, and ViTPose-S on two crops of 256 x 192, each
with the post-processing of transformers. With random weights EoMT has no sure mask to process, which spares
it work; ours makes 100 masks. The two crops are not cut by anybody. On a busy machine, --cpu-time with
--threads 1 counts the processor's time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import click
import torch
from benchmarks.speed.one_pass import alternate, decoded
from benchmarks.speed.published_speed import SIZES, eomt, vitpose, yolos
from transformers import EomtImageProcessor, VitPoseImageProcessor, YolosImageProcessor

import mtvit_core
from mtvit_core.model.modes import evaluating

#: Rows and columns of the image.
CANVAS = (640, 640)
#: Two people, x y w h in pixels.
PEOPLE = [[100.0, 100.0, 150.0, 400.0], [300.0, 80.0, 180.0, 450.0]]
#: Our time at most, as a share of theirs.
TARGET = 1 / 3


def ours(queries: str) -> Callable[[], None]:
    """Return a pass of ours with its results made; ``queries`` are those of the tasks or of instances."""
    by: mtvit_core.model.multitask_vit.Queries = "instance" if queries == "instance" else "task"
    model = mtvit_core.build(
        "vit_small_patch16_224", ["det", "seg", "pose"], canvas=CANVAS, queries=by
    ).eval()
    image = torch.randint(0, 256, (1, 3, *CANVAS), dtype=torch.uint8)

    def run() -> None:
        with evaluating(model):
            decoded(model, image)

    return run


def theirs() -> dict[str, Callable[[], None]]:
    """Return a pass of each of the three models with its results made."""
    width, heads = SIZES["S"]
    boxes, masks, poses = yolos(width, heads), eomt(width, heads), vitpose(width, heads)
    masks.attn_mask_probs.zero_()
    pixels, crops = torch.randn(1, 3, *CANVAS), torch.randn(len(PEOPLE), 3, 256, 192)
    of_boxes, of_masks, of_poses = YolosImageProcessor(), EomtImageProcessor(), VitPoseImageProcessor()

    def detect() -> None:
        of_boxes.post_process_object_detection(boxes(pixels), target_sizes=[CANVAS])

    def segment() -> None:
        of_masks.post_process_instance_segmentation(masks(pixels), target_sizes=[CANVAS])

    def pose() -> None:
        of_poses.post_process_pose_estimation(poses(crops), boxes=[PEOPLE])

    return {"YOLOS-S": detect, "EoMT-S": segment, "ViTPose-S, two crops": pose}


def main() -> None:
    """Print a table of median latencies and the ratios of their sum to ours."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    clock = time.process_time if options.cpu_time else time.perf_counter
    mine = {f"one pass, queries by {queries}": ours(queries) for queries in ("task", "instance")}
    with torch.inference_mode():
        times = alternate({**mine, **theirs()}, options.rounds, clock)
    medians = {name: statistics.median(values) for name, values in times.items()}
    click.echo(f"{torch.get_num_threads()} threads, {options.rounds} rounds")
    for name, median in medians.items():
        click.echo(f"{name:28s} {median * 1e3:8.1f} ms")
    row = sum(median for name, median in medians.items() if name not in mine)
    for name in mine:
        click.echo(
            f"{name:28s} three in a row take {row / medians[name]:.2f} x as long, target {1 / TARGET:.0f}"
        )


if __name__ == "__main__":
    main()
