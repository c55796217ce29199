"""The 150 categories of ADE20K's scene parsing (Zhou et al. 2017): 100 things, and 50 kinds of stuff.

Files call a class by one of several words, and some by others than these; so a model is told by most names.
"""

from mtvit_core.structures.categories import Categories, Category

_NAMES = (
    "wall, building, sky, floor, tree, ceiling, road, bed, window, grass, cabinet, sidewalk, person, "
    "earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, "
    "sea, mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, tub, rail, cushion, "
    "base, box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, "
    "refrigerator, grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway, "
    "river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, "
    "stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, "
    "light, truck, tower, chandelier, awning, street lamp, booth, tv, plane, dirt track, clothes, pole, "
    "land, bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer "
    "belt, canopy, washer, plaything, pool, stool, barrel, basket, falls, tent, bag, minibike, cradle, "
    "oven, ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, "
    "screen, blanket, sculpture, hood, sconce, vase, traffic light, tray, trash can, fan, pier, crt "
    "screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag"
)
#: By column, which is also the id; each by its first word.
ADE20K = Categories(tuple(Category(i, name) for i, name in enumerate(_NAMES.split(", "))))
#: Stuff: what its panoptic annotations do not tell apart.
ADE20K_STUFF = (
    0, 1, 2, 3, 4, 5, 6, 9, 11, 13, 16, 17, 21, 25, 26, 28, 29, 34, 40, 46, 48, 51, 52, 54, 59, 60,
    61, 63, 68, 77, 79, 84, 91, 94, 96, 99, 100, 101, 105, 106, 109, 113, 114, 117, 122, 128, 131,
    140, 141, 145,
)  # fmt: skip
#: Share of names that are the same where a model is one of ADE20K; tables in use differ in about ten names.
_ALIKE = 0.9


def is_ade20k(categories: Categories) -> bool:
    """Tell whether categories are those of ADE20K, whichever words name them."""
    if len(categories) != len(ADE20K):
        return False
    first = [category.name.replace(";", ",").split(",")[0].strip().lower() for category in categories]
    return sum(a == b.name for a, b in zip(first, ADE20K, strict=True)) >= _ALIKE * len(ADE20K)
