"""Isolated groups change nothing else, joint groups do, and images of a batch do not see each other."""

import pytest
import torch
from torch import Tensor

from mtvit_core.backbones.tokens import TokenGroup
from support.models.attention_cases import DINOV3, VIT, flat, group, images_for, make, picked


@pytest.mark.parametrize("name", [VIT, DINOV3])
def test_isolated_groups_change_nothing_else(name: str) -> None:
    backbone = make(name).eval()
    width, images = backbone.spec.width, images_for(make(name))
    det, seg, pose = picked("det", width), group("seg", width, 2, count=7), picked("pose", width, enter=3)
    joint = [group("early", width, 0, "joint"), group("late", width, 3, "joint")]
    with torch.no_grad():
        for shared in ([], joint[:1], joint):
            alone = flat(backbone(images, shared))
            full = flat(backbone(images, [det, *shared, seg, pose]))
            for name_, value in alone.items():
                torch.testing.assert_close(full[name_], value, atol=1e-6, rtol=0)
            for kept in ([det], [seg], [seg, pose], [pose, seg, det], [pose, det]):
                for order in ([*kept, *shared], [*shared, *kept]):
                    some = flat(backbone(images, order))
                    for name_, value in some.items():
                        torch.testing.assert_close(full[name_], value, atol=1e-6, rtol=0)


def test_isolated_groups_change_no_gradient_of_another_task() -> None:
    backbone = make()
    images, det, seg = images_for(backbone), group("det", enter=1), group("seg", enter=2)
    parameters = list(backbone.parameters())

    def gradients(groups: list[TokenGroup]) -> tuple[Tensor, ...]:
        loss = backbone(images, groups).last.queries["det"].square().mean()
        return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)

    for a, b in zip(gradients([det]), gradients([seg, det]), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6 * max(1.0, float(b.abs().max())), rtol=0)


def test_tokens_are_the_same_whether_gradients_are_recorded_or_not() -> None:
    backbone = make().eval()
    groups = [group(f"g{i}", count=count) for i, count in enumerate((3, 9, 20, 4))]
    groups.insert(1, group("joint", visibility="joint", count=6))
    images = images_for(backbone)
    recorded = flat(backbone(images, groups))
    with torch.no_grad():
        found = flat(backbone(images, groups))
    assert all(torch.equal(found[name], value) for name, value in recorded.items())


def test_joint_groups_do_change_the_context() -> None:
    backbone = make().eval()
    images = images_for(backbone)
    with torch.no_grad():
        alone, joined = backbone(images), backbone(images, [group("a", visibility="joint")])
    assert not torch.allclose(alone.last.patches, joined.last.patches, atol=1e-2)


def test_an_image_does_not_see_the_others_of_its_batch() -> None:
    backbone = make().eval()
    images, groups = images_for(backbone, 3), [picked("det"), group("seg", visibility="joint")]
    with torch.no_grad():
        together = flat(backbone(images, groups))
        for i in range(3):
            alone = flat(backbone(images[i : i + 1], groups))
            for name, value in alone.items():
                torch.testing.assert_close(together[name][i : i + 1], value, atol=1e-5, rtol=0)
