"""Models of transformers with random weights, saved as their authors publish them; how far outputs differ."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mtvit_core.errors import CheckpointError, MtvitError


def randomise(model: nn.Module, gain: float = 1.0) -> None:
    """Draw every parameter and every buffer that is saved, so that no weight can be forgotten unseen."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not value.is_floating_point():
                continue
            if name.endswith("running_var"):
                value.uniform_(0.5, 2)
            elif value.ndim == 1:
                value.copy_(torch.randn_like(value) * 0.3 + (0 if name.endswith("bias") else 1))
            else:
                fan = value[0].numel() if value.ndim != 3 else value.shape[-1] ** 0.5
                value.copy_(gain * torch.randn_like(value) * fan**-0.5)


def saved(model: Any, folder: Path) -> Path:
    """Write a model of transformers as ``save_pretrained`` does."""
    model.save_pretrained(folder)
    return folder


def off(found: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    return float((found - expected).abs().max() / expected.abs().max())


def complaint(act: Callable[[], Any], kind: type[MtvitError] = CheckpointError) -> str:
    """The one line that something is refused with."""
    with pytest.raises(kind) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


def first_and_last(blocks: Sequence[Any]) -> tuple[Any, Any]:
    """The two ends of a stack of blocks."""
    return blocks[0], blocks[-1]
