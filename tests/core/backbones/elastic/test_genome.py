"""A genome and its text say the same; other texts are refused in one line."""

import pytest

from mtvit_core.backbones.elastic.genome import Genome, hidden_width
from mtvit_core.errors import ConfigError


def test_a_genome_is_read_as_it_is_written() -> None:
    genome = Genome(192, (3, 3, 0, 4), (4.0, 3.5, 0.0, 2.666667))
    assert str(genome) == "192: 3x4 3x3.5 0 4x2.666667"
    assert Genome.parse(str(genome)) == genome
    assert genome.depth == 3


@pytest.mark.parametrize("text", ["", "192", "192:", "x: 3x4", "3x4 3x4"])
def test_a_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Genome.parse(text)
    assert str(caught.value) == (
        f"genome {text!r}: this is no genome; give a width, a colon, and heads x ratio of every block, 0 for "
        "an absent one, as '192: 3x4 3x3.5 0 4x4'."
    )


@pytest.mark.parametrize("block", ["3", "3x", "0x4", "3x0", "-1x4", "3x4x4"])
def test_a_block_of_another_form_is_named(block: str) -> None:
    with pytest.raises(ConfigError, match=f"'192: 4x4 {block}': '{block}' is no block; give a width"):
        Genome.parse(f"192: 4x4 {block}")


def test_a_ratio_of_six_digits_gives_the_whole_hidden_width() -> None:
    assert hidden_width(192, 2.666667) == 512
