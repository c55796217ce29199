"""The size that an image takes on a canvas."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mtvit_core.structures.canvases.fitted import fitted

SIDE = st.integers(1, 5000)


@given(SIDE, SIDE, st.tuples(st.integers(8, 1500), st.integers(8, 1500)))
def test_sides_are_rounded_exactly(height, width, canvas):
    factor = min(Fraction(canvas[0], height), Fraction(canvas[1], width))
    wanted = [max(1, round(side * factor)) for side in (height, width)]
    assert fitted(height, width, canvas) == (min(canvas[0], wanted[0]), min(canvas[1], wanted[1]))


def test_halves_go_to_the_even_pixel_where_floats_would_not():
    assert 55 * (96 / 704) != 7.5
    assert fitted(55, 704, (96, 96)) == (8, 96)
    assert fitted(99, 704, (96, 96)) == (14, 96)
    assert fitted(704, 165, (96, 96)) == (96, 22)
