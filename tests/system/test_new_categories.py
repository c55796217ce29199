"""Models that go on with other categories: what they know by name stays, whatever ids and order are."""

from typing import Any

import pytest
import torch
from torch import Tensor

import mtvit_core
from mtvit_core import COCO_PERSON, Categories, Category, MultiTaskViT, with_categories
from mtvit_core.model.backbone import create_backbone

BEFORE = Categories((Category(7, "cat"), Category(0, "person", COCO_PERSON), Category(500, "dog")))
#: The same names in another order, with other ids.
MOVED = Categories((Category(1, "dog"), Category(2, "cat"), Category(4, "person", COCO_PERSON)))
#: One more, between them.
MORE = Categories((Category(3, "dog"), Category(9, "bird"), *MOVED.items[1:]))
FEW = {"queries": 6}
MODELS: dict[str, tuple[dict[str, Any], str]] = {
    "det": ({"det": FEW}, "task"),
    "yolos": ({"det": {**FEW, "variant": "yolos"}}, "task"),
    "seg": ({"seg": FEW}, "task"),
    "eomt": ({"seg": {**FEW, "variant": "eomt"}}, "task"),
    "pose": ({"pose": FEW}, "task"),
    "vitpose": ({"pose": {"variant": "vitpose"}}, "task"),
    "tokenpose": ({"pose": {"variant": "tokenpose"}}, "task"),
    "shared": ({"det": FEW, "seg": FEW, "pose": FEW}, "instance"),
}


def made(name: str, categories: Categories = BEFORE) -> MultiTaskViT:
    """A tiny model, every weight of which is random."""
    torch.manual_seed(0)
    options = {"patch_size": 16, "embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options=options)
    tasks, queries = MODELS[name]
    model = mtvit_core.build(backbone, tasks, categories, person_canvas=(64, 48), queries=queries)
    for value in model.parameters():
        value.data += torch.randn_like(value) * 0.1
    return model.eval()


def found(model: MultiTaskViT) -> list[tuple[str, str]]:
    """Name, and score with keypoints or box, of all that a model finds in an image."""
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8, generator=torch.manual_seed(5))
    boxes = [[[5.0, 5.0, 40.0, 60.0]]] if model.of_view("person") else None
    (result,) = model.predict(image, boxes, link=False)
    where: Tensor = result.keypoints.flatten(1) if model.of_view("person") else result.boxes
    numbers = torch.cat([result.scores[:, None], where], 1).tolist()
    told = (" ".join(f"{number:.3f}" for number in row) for row in numbers)
    return sorted(zip(result.names, told, strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_the_same_names_in_another_order_give_the_same_results(name: str) -> None:
    model = made(name)
    assert len(found(model)) > 0
    moved = with_categories(model, MOVED)
    assert moved.categories == MOVED
    assert found(moved) == found(model)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_model_knows_outlives_a_category_more(name: str) -> None:
    model = made(name)
    again = with_categories(with_categories(model, MORE), BEFORE).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(value, again[key]), key


def test_columns_of_new_names_are_drawn_and_the_others_are_not() -> None:
    model, bird = made("det"), 1
    head, old = (m.modules_of("det").head.class_embed.weight for m in (with_categories(model, MORE), model))
    assert torch.equal(head[[2, 3, 0]], old)
    assert not head[bird].any()  # as a new head begins


def test_columns_by_id_become_columns_in_order() -> None:
    tasks = {"det": {**FEW, "variant": "yolos", "id_columns": 501}}
    backbone = made("yolos").backbone
    model = mtvit_core.build(backbone, tasks, BEFORE)
    changed = with_categories(model, MORE)
    assert changed.task_list[0].config.model_dump()["id_columns"] is None
    old = model.modules_of("det").head.class_embed.layers[2].weight
    new = changed.modules_of("det").head.class_embed.layers[2].weight
    assert torch.equal(new[[0, 2, 3, 4]], old[[500, 7, 0, 501]])


def test_keypoints_stay_by_name() -> None:
    renamed = ("beak", *COCO_PERSON.names[1:])
    schema = mtvit_core.KeypointSchema(renamed, COCO_PERSON.skeleton, COCO_PERSON.flip_pairs)
    model = made("vitpose")
    changed = with_categories(model, Categories((Category(1, "person", schema),)))
    new, old = (m.modules_of("pose").head.final_layer.weight for m in (changed, model))
    assert torch.equal(new[1:], old[1:])
    assert not torch.equal(new[0], old[0])


@pytest.mark.parametrize("kind", ["half", "train"])
def test_type_and_mode_of_the_heads_are_kept(kind: str) -> None:
    model = made("det")
    model = model.half() if kind == "half" else model.train()
    changed = with_categories(model, MORE)
    assert changed.training is model.training
    new, old = (m.modules_of("det").head.class_embed.weight for m in (changed, model))
    assert torch.equal(new[2], old[0])  # which tells types apart, too
