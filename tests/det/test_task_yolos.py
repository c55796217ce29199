"""The yolos variant against YOLOS of transformers: costs, losses, results, and a whole model."""

import pytest
import torch
from torch import Tensor, nn
from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil
from transformers.loss.loss_for_object_detection import HungarianMatcher, ImageLoss
from transformers.models.yolos.modeling_yolos import YolosObjectDetectionOutput

from mtvit_core.structures.framing import ImageMeta
from mtvit_det.head import DetPredictions
from mtvit_det.targets import DetTargets
from support.tasks.det_cases import (
    CANVAS,
    CATEGORIES,
    losses_of,
    match_of,
    model_of,
    predictions,
    random_annotations,
    targets_of,
    task,
)

CLASSES = len(CATEGORIES)


def theirs(targets: DetTargets) -> list[dict[str, Tensor]]:
    """Return targets as transformers wants them."""
    return [
        {"class_labels": targets.labels[i, :count], "boxes": targets.boxes[i, :count]}
        for i, count in enumerate(targets.counts)
    ]


def outputs(found: DetPredictions) -> dict[str, Tensor]:
    """Return predictions as transformers wants them."""
    return {"logits": found.logits[-1], "pred_boxes": found.boxes[-1]}


@pytest.mark.parametrize("counts", [(3, 1, 4), (5, 0), (0, 2), (12, 3)])
def test_cost_and_match(counts: tuple[int, ...]) -> None:
    found, targets = predictions(len(counts), 8, CLASSES + 1), targets_of(random_annotations(counts))
    match = match_of(task(variant="yolos"), found, targets)
    expected = HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2)(outputs(found), theirs(targets))
    for image, (queries, objects) in enumerate(expected):
        assert match.matched[0, image].nonzero()[:, 0].tolist() == objects.sort().values.tolist()
        assert match.query[0, image, objects].tolist() == queries.tolist()


@pytest.mark.parametrize("counts", [(3, 1, 4), (5, 0), (0, 0), (12, 3)])
def test_losses_and_gradients(counts: tuple[int, ...]) -> None:
    found, targets = predictions(len(counts), 8, CLASSES + 1), targets_of(random_annotations(counts))
    ours = losses_of(task(variant="yolos"), found, targets)
    matcher = HungarianMatcher(class_cost=1, bbox_cost=5, giou_cost=2)
    criterion = ImageLoss(matcher, CLASSES, eos_coef=0.1, losses=["labels", "boxes"])
    expected = criterion(outputs(found), theirs(targets))
    pairs = {"class": expected["loss_ce"], "l1": 5 * expected["loss_bbox"], "giou": 2 * expected["loss_giou"]}
    assert set(ours) == set(pairs)
    for name, value in pairs.items():
        torch.testing.assert_close(ours[name], value, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    inputs = (found.logits, found.boxes)
    a = torch.autograd.grad(torch.stack(list(ours.values())).sum(), inputs, retain_graph=True)
    b = torch.autograd.grad(torch.stack(list(pairs.values())).sum(), inputs)
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


def test_results() -> None:
    found = predictions(2, 8, CLASSES + 1)
    with torch.no_grad():
        ours = task(variant="yolos").decode(found, [ImageMeta.whole(*CANVAS)] * 2)
        expected = YolosImageProcessorPil().post_process_object_detection(
            YolosObjectDetectionOutput(**outputs(found)), threshold=0.0, target_sizes=[CANVAS] * 2
        )
    limit = torch.tensor([CANVAS[1], CANVAS[0]] * 2)
    for result, other in zip(ours, expected, strict=True):
        order = other["scores"].argsort(descending=True)
        torch.testing.assert_close(result.scores, other["scores"][order])
        assert torch.equal(result.instances.labels, other["labels"][order])
        torch.testing.assert_close(result.boxes, other["boxes"][order].clamp(min=0).minimum(limit))


def copy_weights(theirs: YolosForObjectDetection, ours: nn.Module) -> None:
    """Copy a YOLOS into our model, whose names are those of timm and of the official code."""
    state, patches = theirs.state_dict(), ours.backbone.spec.grid[0] * ours.backbone.spec.grid[1]
    table = state["vit.embeddings.position_embeddings"]
    own = {
        "backbone.vit.cls_token": state["vit.embeddings.cls_token"],
        "backbone.vit.pos_embed": table[:, : 1 + patches],
        "tasks.det.tokens.det.weight": (state["vit.embeddings.detection_tokens"] + table[:, 1 + patches :])[
            0
        ],
    }
    for part in ("weight", "bias"):
        own[f"backbone.vit.patch_embed.proj.{part}"] = state[
            f"vit.embeddings.patch_embeddings.projection.{part}"
        ]
        own[f"backbone.vit.norm.{part}"] = state[f"vit.layernorm.{part}"]
        for i in range(theirs.config.num_hidden_layers):
            a, b = f"vit.encoder.layer.{i}", f"backbone.vit.blocks.{i}"
            qkv = [state[f"{a}.attention.attention.{name}.{part}"] for name in ("query", "key", "value")]
            own[f"{b}.attn.qkv.{part}"] = torch.cat(qkv)
            for name, other in (
                ("norm1", "layernorm_before"),
                ("norm2", "layernorm_after"),
                ("attn.proj", "attention.output.dense"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ):
                own[f"{b}.{name}.{part}"] = state[f"{a}.{other}.{part}"]
        for j in range(3):
            for name, other in (("class_embed", "class_labels_classifier"), ("bbox_embed", "bbox_predictor")):
                own[f"tasks.det.head.{name}.layers.{j}.{part}"] = state[f"{other}.layers.{j}.{part}"]
    ours.load_state_dict(own)


def test_a_whole_model() -> None:
    config = YolosConfig(
        hidden_size=192,
        num_hidden_layers=3,
        num_attention_heads=3,
        intermediate_size=768,
        image_size=list(CANVAS),
        num_detection_tokens=10,
        use_mid_position_embeddings=False,
        num_labels=CLASSES,
        layer_norm_eps=1e-6,
    )
    other = YolosForObjectDetection(config).eval()
    for value in other.parameters():
        nn.init.normal_(value, std=0.5 if value.ndim == 1 else value[0].numel() ** -0.5)
    model = model_of(task(variant="yolos", queries=10)).eval()
    copy_weights(other, model)
    images = torch.randint(0, 256, (2, 3, *CANVAS), dtype=torch.uint8)
    with torch.no_grad():
        found = model(images)["det"]
        expected = other(model.backbone.normalise(images))
    assert expected.logits.std() > 0.1
    torch.testing.assert_close(found.logits[0], expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.boxes[0], expected.pred_boxes, atol=1e-5, rtol=1e-5)
