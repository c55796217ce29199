"""det + seg + pose in one exported pass against the bare trunk of timm, in one run, decoding included.

    python -m benchmarks.speed.exported --write exports --backbone vit_tiny_patch16_224
    python -m benchmarks.speed.exported --time exports --rounds 15

    python -m benchmarks.speed.exported --time exports --peers peers

640 x 640, random weights, one image. The first line exports, which takes minutes; the second times the files
in turns, on a quiet machine, on as many threads as --threads says. The trunk is timm's own model, its tokens
the output. The ratio of medians is what counts; the target is 1.25. --peers is a folder of ONNX files of
other models, 1 x 3 x 640 x 640 in fp32, which OpenVINO runs in the same turns; their environment is theirs.
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import timm
import torch
from torch import Tensor, nn

import mtvit_core
from mtvit_core.deploy.graph.capture import capture
from mtvit_core.deploy.graph.files import OPSET, write
from mtvit_core.model.modes import evaluating

CANVAS, TARGET = (640, 640), 1.25
PARTS = ("trunk", "model")


class Trunk(nn.Module):
    """timm's model on uint8 images, normalised as ours."""

    def __init__(self, name: str) -> None:
        """Draw the weights."""
        super().__init__()
        self.vit = timm.create_model(name, img_size=CANVAS, num_classes=0)

    def forward(self, images: Tensor) -> Tensor:
        """Return the tokens."""
        tokens: Tensor = self.vit.forward_features((images.float() - 127.5) / 127.5)
        return tokens


def write_files(folder: Path, name: str) -> None:
    """Export trunk and model to ONNX; OpenVINO reads the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    images = torch.zeros(1, 3, *CANVAS, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            Trunk(name).eval(), (images,), dynamo=True, opset_version=OPSET, input_names=["images"]
        )
        assert program is not None
        program.save(folder / "trunk.onnx")
    model = mtvit_core.build(name, ["det", "seg", "pose"], canvas=CANVAS).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # layers that start at zero would all say the same
            if not parameter.any():
                nn.init.normal_(parameter, std=0.02)
    write(capture(model, "image"), "onnx", folder / "model.onnx")
    mtvit_core.save(model, folder / "model.safetensors")
    (folder / "name.json").write_text(json.dumps(name))


def runs(folder: Path, threads: int) -> dict[tuple[str, str], Callable[[], object]]:
    """Return a pass of trunk and model in every runtime."""
    image = np.random.default_rng(0).integers(0, 256, (1, 3, *CANVAS), dtype=np.uint8)
    core, found = openvino.Core(), {}
    for part in PARTS:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(folder / f"{part}.onnx"), options)
        found["ONNX Runtime fp32", part] = lambda s=session: s.run(None, {"images": image})
        for hint in ("f32", "bf16"):
            compiled = core.compile_model(
                str(folder / f"{part}.onnx"),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": hint,
                    "INFERENCE_NUM_THREADS": threads,
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
            request = compiled.create_infer_request()
            found[f"OpenVINO {hint}", part] = lambda r=request: r.infer({0: image})
    trunk = Trunk(json.loads((folder / "name.json").read_text())).eval()
    model = mtvit_core.load(folder / "model.safetensors")
    shown = torch.from_numpy(image)

    def eager(run: Callable[[Tensor], object]) -> Callable[[], object]:
        def once() -> object:
            with evaluating(model):
                return run(shown)

        return once

    found["torch fp32", "trunk"] = eager(trunk)
    found["torch fp32", "model"] = eager(lambda x: model.answers(x, "image"))
    return found


def peers(folder: Path, threads: int) -> dict[tuple[str, str], Callable[[], object]]:
    """Return a pass of every file of a folder in OpenVINO."""
    image, core, found = np.zeros((1, 3, *CANVAS), np.float32), openvino.Core(), {}
    for file in sorted(folder.glob("*.onnx")):
        for hint in ("f32", "bf16"):
            options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": threads}
            compiled = core.compile_model(str(file), "CPU", options | {"PERFORMANCE_HINT": "LATENCY"})
            request = compiled.create_infer_request()
            found[f"OpenVINO {hint}", file.stem] = lambda r=request: r.infer({0: image})
    return found


def main() -> None:
    """Export, or time and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path)
    parser.add_argument("--time", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.write:
        write_files(given.write, given.backbone)
    if not given.time:
        return
    torch.set_num_threads(given.threads)
    passes = runs(given.time, given.threads)
    others = peers(given.peers, given.threads) if given.peers else {}
    passes |= others
    took: dict[tuple[str, str], list[float]] = {key: [] for key in passes}
    for turn in range(given.rounds + 2):
        for key, run in passes.items():
            start = time.perf_counter()
            run()
            if turn > 1:
                took[key].append(1000 * (time.perf_counter() - start))
    print("| runtime | trunk (ms) | det + seg + pose (ms) | ratio, target 1.25 |")
    print("|---|---|---|---|")
    for runtime in dict.fromkeys(runtime for runtime, part in passes if part in PARTS):
        trunk, model = (statistics.median(took[runtime, part]) for part in PARTS)
        print(f"| {runtime} | {trunk:.0f} | {model:.0f} | {model / trunk:.2f} |")
    for runtime, name in others:
        print(f"{name} in {runtime}: {statistics.median(took[runtime, name]):.0f} ms")


if __name__ == "__main__":
    main()
