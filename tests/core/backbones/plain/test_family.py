"""What timm would take, and no image could pass through, is refused by its name."""

from typing import Any

import pytest

from mtvit_core.backbones.plain.family import create_plain
from mtvit_core.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"in_chans": 1},
            "in_chans is 1; images have 3 channels, red, green and blue, grey ones too: leave it out.",
        ),
        ({"depth": 0}, "depth is 0; give a whole number of at least 1."),
        ({"embed_dim": -8}, "embed_dim is -8; give a whole number of at least 1."),
        ({"num_heads": 2.5}, "num_heads is 2.5; give a whole number of at least 1."),
        ({"depth": True}, "depth is True; give a whole number of at least 1."),
    ],
)
def test_counts_that_make_no_model(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        create_plain("vit_tiny_patch16_224", (64, 64), options=options)
    assert str(error.value) == f"backbone 'vit_tiny_patch16_224': {words}"


def test_tables_between_need_to_be_asked_for() -> None:
    with pytest.raises(
        ConfigError, match="between_grid is the size of tables that positions_between asks for"
    ):
        create_plain("vit_tiny_patch16_224", (64, 64), options={"between_grid": [2, 2]})
