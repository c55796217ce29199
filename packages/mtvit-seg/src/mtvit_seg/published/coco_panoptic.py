"""The 133 categories of COCO 2017 panoptic: 80 things, and 53 kinds of stuff (Kirillov et al. 2019)."""

from mtvit_core.structures.categories import COCO_CATEGORIES, Categories, Category

_STUFF = {
    92: "banner, blanket", 95: "bridge", 100: "cardboard", 107: "counter", 109: "curtain",
    112: "door-stuff", 118: "floor-wood, flower", 122: "fruit", 125: "gravel", 128: "house", 130: "light",
    133: "mirror-stuff", 138: "net", 141: "pillow", 144: "platform, playingfield",
    147: "railroad, river, road",
    151: "roof", 154: "sand, sea, shelf", 159: "snow", 161: "stairs", 166: "tent", 168: "towel",
    171: "wall-brick", 175: "wall-stone, wall-tile, wall-wood, water-other",
    180: "window-blind, window-other",
    184: "tree-merged, fence-merged, ceiling-merged, sky-other-merged, cabinet-merged, table-merged, "
    "floor-other-merged, pavement-merged, mountain-merged, grass-merged, dirt-merged, paper-merged, "
    "food-other-merged, building-other-merged, rock-merged, wall-other-merged, rug-merged",
}  # fmt: skip

#: Stuff by original id; ids that follow each other are listed together.
_NAMES = {first + i: name for first, names in _STUFF.items() for i, name in enumerate(names.split(", "))}
#: Original ids of the stuff.
COCO_STUFF = tuple(_NAMES)
#: Things, then stuff, by ascending id.
COCO_PANOPTIC = Categories((*COCO_CATEGORIES, *(Category(id_, name) for id_, name in _NAMES.items())))
