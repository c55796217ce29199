"""Self-supervised pre-training of a backbone on unlabelled scenes."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from mtvit_core.files import whole_file
from mtvit_core.model.backbone import create_backbone
from mtvit_train.config.run import ModelConfig
from mtvit_train.optim.muon_and_adamw import MuonAndAdamW, block_matrices
from mtvit_train.optim.precision import compute_type
from mtvit_train.optim.schedule import rate
from mtvit_train.pretraining.figure_finder import FigureFinder
from mtvit_train.pretraining.mae import MaskedAutoencoder
from mtvit_train.scenes.scene import render_scene

#: Peak rate of AdamW. At 1.5e-3 the activations of the small ViT grow a hundredfold, and all blocks but the
#: first fall idle.
RATE = 5e-4
#: Peak rate of Muon, for the matrices of the blocks.
MATRIX_RATE = 0.01
#: What a backbone can learn without labels, by name.
METHODS: dict[str, type[MaskedAutoencoder] | type[FigureFinder]] = {
    "figures": FigureFinder,
    "mae": MaskedAutoencoder,
}


def pretrain(
    table: ModelConfig,
    out: Path,
    *,
    images: int,
    steps: int,
    batch_size: int,
    seed: int,
    method: str,
    console: Console,
) -> float:
    """Train a backbone on scenes without labels and keep it, in half precision.

    Args:
        table: Which backbone; its weights start at random, whatever ``pretrained`` says.
        out: File to write, as ``model.pretrained`` reads it.
        images: Scenes to render; they stay in memory as bytes.
        steps: Updates of the weights.
        batch_size: Images per update.
        seed: Stream of the scenes, of the weights and of what the method draws.
        method: What it is to learn, a name of ``METHODS``.
        console: Where progress goes.

    Returns:
        The loss, averaged over the last hundredth of the steps.
    """
    torch.manual_seed(seed)
    scenes = render_images(images, seed, table.image_size[0])
    model = METHODS[method](create_backbone(table.backbone, table.image_size, options=table.options))
    model.encoder.precision = compute_type("auto", torch.device("cpu"))
    optimizer = make_optimizer(model)
    draw = model.batches(scenes)
    tail: list[float] = []
    started = time.perf_counter()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * rate(step, steps, warmup=min(200, steps // 10), final=0.01)
        loss = model(draw(batch_size))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tail = [*tail, loss.item()][-max(1, steps // 100) :]
        if (step + 1) % max(1, steps // 50) == 0:
            minutes = (time.perf_counter() - started) / 60
            save_encoder(model, out)
            console.print(
                f"step {step + 1}/{steps}  loss {sum(tail) / len(tail):.4f}  {minutes:.1f} min",
                highlight=False,
            )
    return math.fsum(tail) / len(tail)


def save_encoder(model: MaskedAutoencoder | FigureFinder, out: Path) -> None:
    """Write the encoder in half precision, in the keys of its family: of plain ViTs, timm's."""
    out.parent.mkdir(parents=True, exist_ok=True)
    weights = {k: v.detach().half().contiguous() for k, v in model.encoder.weights().items()}
    with whole_file(out) as partial:
        save_file(weights, partial)


def render_images(count: int, seed: int, size: int) -> UInt8[Tensor, "B 3 H W"]:
    """Render scenes without their labels."""
    planes = [np.ascontiguousarray(render_scene(seed, index, size).image) for index in range(count)]
    return torch.from_numpy(np.stack(planes)).permute(0, 3, 1, 2)


def make_optimizer(model: MaskedAutoencoder | FigureFinder) -> MuonAndAdamW:
    """Muon for the matrices of the blocks, AdamW for the rest; all but vectors decay by 0.05."""
    matrices, others, vectors = [], [], []
    inner = {f"encoder.{name}" for name in block_matrices(model.encoder)}
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2:
            vectors.append(parameter)
        elif name in inner:
            matrices.append(parameter)
        else:
            others.append(parameter)
    return MuonAndAdamW(
        [{"params": matrices, "lr": MATRIX_RATE, "peak": MATRIX_RATE, "weight_decay": 0.05}],
        [
            {"params": others, "lr": RATE, "peak": RATE, "weight_decay": 0.05},
            {"params": vectors, "lr": RATE, "peak": RATE, "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
        precision=model.encoder.precision,
    )
