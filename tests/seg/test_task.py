"""The task as the model sees it: registration, settings, isolation, and learning."""

import pytest
import torch
from pydantic import ValidationError

from mtvit_core.backbones.tokens import LearnedQueries, QueryMasker
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError
from mtvit_core.inference.predict import predict
from mtvit_core.structures.batch import Batch
from mtvit_seg import plugin
from mtvit_seg.config import SegConfig
from mtvit_seg.task import Segmentation
from support.tasks.seg_cases import CATEGORIES, SPEC, annotate, losses_of, metas, task, tiny_model


def test_the_hook_gives_the_task() -> None:
    assert plugin.mtvit_task() is Segmentation
    assert Segmentation.name == "seg"
    assert Segmentation.needs == {"masks"}


def test_eomt_queries_are_joint_learned_and_masked() -> None:
    (group,) = task(variant="eomt", queries=7, blocks=2).tokens(SPEC)
    assert (group.count, group.enter, group.visibility, group.masked) == (7, 3, "joint", True)
    assert group.layers == (3, 4, 5)
    assert isinstance(group.source, LearnedQueries)
    # The published queries are drawn with a deviation of 1.
    assert 0.6 < LearnedQueries(200, 24, std=1.0).weight.std().item() < 1.1
    assert isinstance(task(variant="eomt").head(SPEC), QueryMasker)


def test_settings_reach_the_group() -> None:
    (group,) = task(variant="eomt", masked_attention=False, visibility="isolated").tokens(SPEC)
    assert (group.visibility, group.masked) == ("isolated", False)
    (group,) = task(blocks=2, deep_supervision=False).tokens(SPEC)
    assert (group.enter, group.layers, group.visibility, group.masked) == (3, (5,), "isolated", False)
    (group,) = task(blocks=50).tokens(SPEC)
    assert group.enter == 0


def test_picked_queries_pass_the_last_block_and_those_of_eomt_three() -> None:
    depth = SPEC.depth
    assert [task(variant=kind).tokens(SPEC)[0].enter for kind in ("picked", "eomt")] == [depth - 1, depth - 3]
    assert task(blocks=2).tokens(SPEC)[0].enter == depth - 2


def test_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        validate(SegConfig, {"querys": 3}, "tasks.seg")
    assert str(caught.value).startswith("config: tasks.seg.querys is not a setting. Did you mean 'queries'?")
    with pytest.raises(ValidationError, match="'picked' or 'eomt'"):
        SegConfig.model_validate({"variant": "sam"})


def test_boxes_near_the_truth_teach_in_training_alone_and_by_their_weight() -> None:
    model, images = tiny_model().train(), torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    masks = torch.zeros(1, 64, 96, dtype=torch.bool)
    masks[0, 8:40, 10:50] = True
    truth, found = [annotate(masks, [0])] * 2, model(images)["seg"]
    terms, halved = (losses_of(task(loss_denoising=weight), found, truth) for weight in (1.0, 0.5))
    for name in ("denoising_box", "denoising_class", "denoising_mask"):
        assert terms[name] > 0
        torch.testing.assert_close(halved[name], terms[name] / 2)
    assert model.eval()(images)["seg"].reading is None
    assert tiny_model(variant="eomt").train()(images)["seg"].reading is None


@pytest.mark.parametrize("variant", ["picked", "eomt"])
def test_two_objects_are_learned_by_heart(variant: str) -> None:
    model = tiny_model(variant=variant, sampling="dense").train()
    images = torch.randint(0, 40, (2, 3, 64, 96), dtype=torch.uint8)
    masks = torch.zeros(2, 1, 64, 96, dtype=torch.bool)
    masks[0, 0, 8:40, 10:50], masks[1, 0, 20:60, 48:90] = True, True
    colours = torch.tensor([[200, 0, 0], [0, 0, 200]], dtype=torch.uint8)
    for image, mask, colour in zip(images, masks, colours, strict=True):
        image[:, mask[0]] = colour[:, None]
    batch = Batch(
        images, tuple(annotate(mask, [row]) for row, mask in enumerate(masks)), tuple(metas((64, 96)) * 2)
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(60):
        model.progress(step / 60)
        loss = sum(model.losses(batch).values(), torch.zeros(()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    for row, result in enumerate(predict(model, images)):
        assert result.instances.labels[0] == row
        truth, found = masks[row, 0], result.masks[0]
        assert (truth & found).sum() / (truth | found).sum() > 0.7


def test_predictions_of_an_image_do_not_depend_on_the_batch() -> None:
    model = tiny_model().eval()
    images = torch.randint(0, 255, (3, 3, 64, 96), dtype=torch.uint8)
    together = model(images)["seg"]
    for i in range(3):
        alone = model(images[i : i + 1])["seg"]
        torch.testing.assert_close(
            together.mask_logits[:, i : i + 1], alone.mask_logits, atol=1e-4, rtol=1e-4
        )
        torch.testing.assert_close(together.logits[:, i : i + 1], alone.logits, atol=1e-4, rtol=1e-4)
    assert len(CATEGORIES) == together.logits.shape[-1]
