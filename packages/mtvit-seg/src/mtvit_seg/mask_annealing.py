"""How masked attention fades out during training (Kerssies et al. 2025, section 3.3).

The masking of block i of n starts to fade at s_i and is gone at e_i, fractions of the training t:

    s_i = w + i 3w / (n - 1),  e_i = s_i + w,  w = 1/6 of the training
    p_i(t) = 1 before s_i,  (1 - (t - s_i) / (e_i - s_i))^0.9 up to e_i,  0 after
"""

#: Share of the training in which one block's masking fades; the published DINOv2 schedules all use it.
WIDTH = 1 / 6
#: Exponent of the decay.
POWER = 0.9


def window(block: int, blocks: int) -> tuple[float, float]:
    """Return when the masking of a block starts to fade and when it is gone, as fractions of the training.

    Args:
        block: Index among the blocks that the queries pass through.
        blocks: Number of these blocks.
    """
    start = WIDTH + (block * 3 * WIDTH / (blocks - 1) if blocks > 1 else 0.0)
    return start, start + WIDTH


def mask_probability(block: int, blocks: int, fraction: float) -> float:
    """Return the probability that a query is masked in a block.

    Args:
        block: Index among the blocks that the queries pass through.
        blocks: Number of these blocks.
        fraction: Progress of the training, 0 to 1.
    """
    start, stop = window(block, blocks)
    if fraction < start:
        return 1.0
    if fraction >= stop:
        return 0.0
    return float((1 - (fraction - start) / (stop - start)) ** POWER)
