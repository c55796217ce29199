"""The toy format as the only one that is installed, and the weights of a source."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from mtvit_core.model import build as model_build
from mtvit_core.model import convert as conversion
from support.commands.toy_format import SPOT, Toy, model, recipe_of
from support.models.spot_task import Spot


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the toy format and its task be what is installed."""

    def choose(names: Sequence[str]) -> dict[str, type[Spot]]:
        return dict.fromkeys(names, SPOT)

    monkeypatch.setattr(model_build, "installed", choose)
    monkeypatch.setattr(conversion, "published_formats", lambda: (Toy(),))


@pytest.fixture
def weights() -> dict[str, Tensor]:
    """Every tensor of a toy source, drawn at random."""
    found: dict[str, Tensor] = {"toy.mark": torch.zeros(1)}
    for key, value in model().state_dict().items():
        recipe = recipe_of(key)
        for part, shape in zip(recipe.keys, recipe.shapes(tuple(value.shape)), strict=True):
            found[part] = torch.randn(shape)
    return found
