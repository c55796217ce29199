"""The 80 categories of COCO 2017, with the ids of its files (Lin et al. 2014)."""

from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.keypoints import COCO_PERSON

_NAMES = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, "
    ", stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, "
    "giraffe, , backpack, umbrella, , , handbag, tie, suitcase, frisbee, skis, snowboard, sports "
    "ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, , wine "
    "glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, "
    "pizza, donut, cake, chair, couch, potted plant, bed, , dining table, , , toilet, , tv, laptop, "
    "mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, , book, clock, "
    "vase, scissors, teddy bear, hair drier, toothbrush"
)

#: Ids run from 1 to 90 with ten gaps; a person has 17 keypoints.
COCO_CATEGORIES = Categories(
    tuple(
        Category(id_, name, COCO_PERSON if name == "person" else None)
        for id_, name in enumerate((part.strip() for part in _NAMES.split(",")), start=1)
        if name
    )
)
