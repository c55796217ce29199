"""What the task asks of its data, and what its heads read."""

from dataclasses import replace

import pytest
import torch

from mtvit_cls.config import ClsConfig
from mtvit_cls.head import make_head
from mtvit_cls.task import Classification
from mtvit_core.backbones.features import Features, LayerFeatures
from mtvit_core.backbones.interface import BackboneSpec
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.structures.annotations import TrueImageLabels
from mtvit_core.testing.example import CATEGORIES, draw_examples

SPEC = BackboneSpec(width=12, depth=2, patch=(8, 8), canvas=(16, 24), heads=3, class_tokens=(12, 20))


def features(*tokens: torch.Tensor) -> Features:
    last = LayerFeatures(torch.randn(2, 12, 2, 3), torch.randn(2, 1, 12), {})
    return Features({2: last}, 2, {}, (16, 24), class_tokens=tokens)


def test_logits_of_several_class_tokens_are_averaged() -> None:
    head = make_head(ClsConfig(pooling="token"), SPEC, 4)
    first, second = torch.randn(2, 12), torch.randn(2, 20)
    large, small = head.classify
    expected = (large(first) + small(second)) / 2
    torch.testing.assert_close(head(features(first, second)).logits, expected)


def test_the_class_token_of_a_plain_vit_is_its_first_prefix_token() -> None:
    from mtvit_core.model.backbone import create_backbone

    backbone = create_backbone("vit_tiny_patch16_224", (32, 32), options={"depth": 1}).eval()
    found = backbone(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert backbone.spec.class_tokens == (192,)
    torch.testing.assert_close(found.class_tokens[0], found.last.prefix[:, 0])


def test_without_a_class_token_the_pooling_is_refused() -> None:
    spec = replace(SPEC, class_tokens=())
    with pytest.raises(ConfigError, match="has no class token; take 'mean' or 'attention'"):
        make_head(ClsConfig(pooling="token"), spec, 4)


def test_equal_patches_are_pooled_to_what_they_are() -> None:
    head = make_head(ClsConfig(pooling="attention"), SPEC, 4)
    patch = torch.randn(2, 1, 12)
    torch.testing.assert_close(head.pool(patch.expand(-1, 7, -1)), head.values(patch)[:, 0])


def test_several_classes_where_one_is_asked_for_are_an_error() -> None:
    task = Classification(ClsConfig(), CATEGORIES)
    both = TrueImageLabels(torch.ones(2), torch.ones(2, dtype=torch.bool))
    odd = [replace(draw_examples()[0].truth, image_labels=both)]
    with pytest.raises(DataError, match=r"tasks\.cls\.labels is 'one'; set it to 'many'"):
        task.targets(odd, (64, 96), torch.device("cpu"))
    many = Classification(ClsConfig(labels="many"), CATEGORIES)
    assert many.targets(odd, (64, 96), torch.device("cpu")).shares.tolist() == [[1, 1]]


def test_cross_entropy_of_many_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="take 'bce' where labels is 'many'"):
        ClsConfig(labels="many", loss="ce")
