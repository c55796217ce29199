"""Frames per second of ``mtvit predict`` on a video against predict on decoded frames, and memory over time.

    python -m benchmarks.speed.video --frames 64 --rounds 3 --long 10000

Rounds alternate, so that both see the same machine; on a busy one, --cpu-time with --threads 1 counts the
processor's time. The long video goes through a small model, with tracks
and drawing, in a process of its own whose memory is read every second.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import torch
from PIL import Image

import mtvit_core
from mtvit_core.cli.video.options import VideoOptions
from mtvit_core.cli.video.predict import predict_film
from mtvit_core.inference.options import PredictOptions
from mtvit_core.video.frames import Reading, file_frames
from mtvit_core.video.source import video_source


def main() -> None:
    """Print frames per second and memory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--film", type=int, nargs=2, default=(1280, 720), metavar=("W", "H"))
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cpu-time", action="store_true", help="Time of the processor instead of latency.")
    parser.add_argument("--long", type=int, default=0, help="Frames of the long video.")
    parser.add_argument("--no-draw", action="store_true", help="Do not draw the long video.")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    tasks, canvas = ["det", "seg", "pose"], (options.size, options.size)
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        if options.frames:
            film(where / "film.mp4", options.frames, *options.film)
            model = mtvit_core.build(options.backbone, tasks, canvas=canvas).eval()
            clock = time.process_time if options.cpu_time else time.perf_counter
            throughput(model, where, options.rounds, clock)
        if options.long:
            small = mtvit_core.build("test_vit", tasks, canvas=(64, 64)).eval()
            mtvit_core.save(small, where / "small.safetensors")
            film(where / "long.mp4", options.long, 320, 240)
            memory(where, ["--no-draw"] if options.no_draw else [])


def film(path: Path, frames: int, width: int, height: int) -> None:
    """Write a video of a picture that moves."""
    small = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    large = Image.fromarray(small).resize((width + 100, height + 100), Image.Resampling.BICUBIC)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for i in range(frames):
            x, y = round(50 + 49 * np.sin(i / 9)), round(50 + 49 * np.cos(i / 7))
            out.mux(stream.encode(av.VideoFrame.from_image(large.crop((x, y, x + width, y + height)))))
        out.mux(stream.encode())


def throughput(model: mtvit_core.MultiTaskViT, where: Path, rounds: int, clock: Callable[[], float]) -> None:
    """Alternate predict on frames that are there with predict on the video, drawn and not."""
    source = video_source(where / "film.mp4")
    assert source is not None
    frames = [frame.image for frame in file_frames(source, Reading())]
    (first,) = model.predict([frames[0]])
    fifteen = sorted(first.scores.tolist())[-15:]  # weights are random: a limit that leaves some objects
    options = PredictOptions(min_score=fifteen[0])
    rates: dict[str, list[float]] = {"predict": [], "video, drawn": [], "video, not drawn": []}
    for number in range(rounds):
        start = clock()
        found = list(model.predict_stream(frames, options=options))
        rates["predict"].append(len(frames) / (clock() - start))
        for name, draw in (("video, drawn", True), ("video, not drawn", False)):
            out = where / f"{number}-{draw}"
            out.mkdir()
            start = clock()
            predict_film(model, None, source, out, VideoOptions(False, None, draw, None), options)
            rates[name].append(len(frames) / (clock() - start))
    print(f"{len(frames)} frames, {sum(map(len, found)) / len(found):.1f} objects a frame")
    base = statistics.median(rates["predict"])
    for name, values in rates.items():
        rate = statistics.median(values)
        print(f"{name:17s} {rate:6.2f} frames a second, {rate / base:5.2f} of predict")


def memory(where: Path, more: list[str]) -> None:
    """Run the command on the long video and read its memory."""
    arguments = [str(where / "small.safetensors"), str(where / "long.mp4"), "--out", str(where / "long")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mtvit_core", "predict", *arguments, "--min-score", "0.5", "--track", *more]
    )
    seen: list[float] = []
    while process.poll() is None:
        time.sleep(1)
        status = Path(f"/proc/{process.pid}/status")
        lines = status.read_text().splitlines() if status.exists() else []
        seen += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
    fifth = max(1, len(seen) // 5)
    first, rest = max(seen[:fifth]), max(seen[fifth:])
    print(f"memory: {first:.0f} MiB at most in the first fifth, {rest:.0f} later; exit {process.returncode}")


if __name__ == "__main__":
    main()
