from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from mtvit_core.errors import ConfigError
from mtvit_core.inference.predict import predict
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.canvases.crops import CropRule, crop_person, person_meta, points_to_crop
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances
from mtvit_core.structures.keypoints import COCO_PERSON
from mtvit_pose.config import PoseConfig
from mtvit_pose.task import PoseTask
from mtvit_pose.topdown.dark import whole_map_targets
from mtvit_pose.topdown.decoder import Heatmaps
from mtvit_pose.topdown.heatmap import heatmap_stride, heatmap_targets
from support.models.spot_task import SpotConfig, spot_class
from support.tasks.pose_cases import HAND, PEOPLE, TWO_SCHEMAS, images, make_model, people, task_of

CANVAS = (64, 48)
VARIANTS = ("vitpose", "vitpose-simple", "tokenpose")


def batch(*annotations: Annotations) -> Batch:
    meta = ImageMeta(64, 48, CANVAS, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), 1)
    return Batch(images(len(annotations), CANVAS), annotations, (meta,) * len(annotations))


def task(variant: str = "vitpose", **settings: float) -> PoseTask:
    return PoseTask(PoseConfig.model_validate({"variant": variant, **settings}), PEOPLE)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes(variant: str):
    model = make_model(variant=variant)

    found = model(images(2, CANVAS), "person")["pose"]

    assert model.views == ("person",)
    assert found.maps.shape == (2, 17, 16, 12)
    assert found.canvas == CANVAS


def test_tokenpose_adds_one_joint_token_per_keypoint_at_block_0():
    (group,) = task("tokenpose").tokens(make_model(variant="tokenpose").backbone.spec)

    assert (group.count, group.enter, group.visibility) == (17, 0, "joint")


@pytest.mark.parametrize("variant", VARIANTS)
def test_unlabelled_crops_give_zero_loss_and_zero_gradient(variant: str):
    model = make_model(variant=variant)
    nobody = replace(people(1, CANVAS), keypoints=torch.zeros(1, 17, 3))

    terms = model.losses(batch(people(1, CANVAS, has=frozenset({"boxes"})), nobody), "person")
    terms["pose/heatmap"].backward()

    assert list(terms) == ["pose/heatmap"]
    assert terms["pose/heatmap"].item() == 0
    grads = [p.grad for _, p in model.named_parameters() if p.grad is not None]
    assert grads
    assert not any(grad.any() for grad in grads)


@pytest.mark.parametrize(("variant", "factor"), [("vitpose", 1.0), ("tokenpose", 0.5)])
def test_loss_is_the_papers(variant: str, factor: float):
    person = people(1, CANVAS)
    person.keypoints[0, 3:] = 0
    subject = task(variant, loss_joints=10.0)
    maps = torch.rand(1, 17, 16, 12)

    terms = subject.loss(Heatmaps(maps, CANVAS), subject.targets([person], CANVAS, "cpu"), None)

    if variant == "vitpose":
        mu = person.keypoints[:, :, :2] / torch.tensor([47 / 11, 63 / 15])
        truth, _ = heatmap_targets(mu, (16, 12))
    else:  # one stride, 47 / 11; the centres of map and crop coincide
        mu = (person.keypoints[:, :, :2] - torch.tensor([23.5, 31.5])) / (47 / 11) + torch.tensor([5.5, 7.5])
        truth, _ = whole_map_targets(mu, (16, 12))
    per_joint = (maps - truth)[0, :3].square().mean((1, 2))
    assert terms["heatmap"].item() == pytest.approx(10 * factor * per_joint.sum().item() / 17, rel=1e-5)


def test_only_the_first_row_is_the_person():
    pair = people(2, CANVAS)

    targets = task().targets([pair], CANVAS, "cpu")

    torch.testing.assert_close(targets.points[0], pair.keypoints[0, :, :2])


def drawn(points: Tensor, meta: ImageMeta) -> Heatmaps:
    """Heatmaps that show these points of the original image."""
    canvas = (256, 192)
    mu = points_to_crop(points, meta)[None] / heatmap_stride((64, 48), canvas)
    return Heatmaps(heatmap_targets(mu, (64, 48))[0], canvas)


def test_decoding_perfect_heatmaps_gives_back_the_keypoints():
    meta = replace(person_meta((30.0, 40.0, 110.0, 170.0), 200, 150, (256, 192)), image_id=9, box_score=0.5)
    points = torch.tensor([35.0, 50.0]) + torch.rand(17, 2) * torch.tensor([70.0, 110.0])

    (result,) = task().decode(drawn(points, meta), [meta])

    # A twentieth of a heatmap pixel.
    limit = 0.05 * 4 * max(meta.to_original[0], meta.to_original[4])
    assert (result.keypoints[0, :, :2] - points).abs().max() < limit
    assert result.boxes.tolist() == [[30, 40, 110, 170]]
    assert (result.image_id, result.names, result.tasks) == (9, ("person",), ("pose",))
    assert result.scores.item() == pytest.approx(0.5 * result.keypoints[0, :, 2].mean().item())


def test_a_score_is_the_mean_of_the_keypoints_above_a_fifth():
    maps = torch.zeros(1, 17, 64, 48)
    maps[0, :3, 10, 10] = torch.tensor([0.9, 0.5, 0.15])
    meta = replace(person_meta((0.0, 0.0, 30.0, 40.0), 60, 60, (256, 192)), box_score=0.8)

    (result,) = task().decode(Heatmaps(maps, (256, 192)), [meta])

    assert result.scores.item() == pytest.approx(0.8 * 0.7)


def test_nothing_seen_scores_zero():
    meta = person_meta((0.0, 0.0, 30.0, 40.0), 60, 60, (256, 192))

    (result,) = task().decode(Heatmaps(torch.zeros(1, 17, 64, 48), (256, 192)), [meta])

    assert result.scores.item() == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_prediction_crops_given_boxes(variant: str):
    model = make_model(variant=variant)
    boxes = torch.tensor([[5.0, 5.0, 30.0, 60.0], [40.0, 10.0, 80.0, 60.0]])

    first, second = predict(model, images(2), boxes=[boxes, boxes[:0]])

    torch.testing.assert_close(first.boxes, boxes)
    assert first.keypoints.shape == (2, 17, 3)
    assert len(second) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_results_do_not_depend_on_the_rest_of_the_batch(variant: str):
    model = make_model(variant=variant).eval()
    pixels = images(3, CANVAS)

    with torch.inference_mode():
        together = model(pixels, "person")["pose"].maps
        alone = torch.cat([model(pixels[i : i + 1], "person")["pose"].maps for i in range(3)])

    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_few_steps_fit_a_batch(variant: str):
    model = make_model(variant=variant)
    fixed = batch(people(1, CANVAS), people(1, CANVAS))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    losses = []
    for _ in range(30):
        (loss,) = model.losses(fixed, "person").values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    assert losses[-1] < 0.7 * losses[0]


def test_several_categories_with_keypoints_are_refused():
    with pytest.raises(
        ConfigError, match=r"'vitpose' draws the keypoints of one category, but 2 have some \(hand"
    ):
        PoseTask(PoseConfig(variant="vitpose"), TWO_SCHEMAS)


def test_tasks_that_see_other_crops_do_not_share_a_model():
    backbone = make_model(variant="vitpose").backbone
    second = spot_class("spot")(SpotConfig(view="person"), PEOPLE)
    with pytest.raises(ConfigError) as error:
        MultiTaskViT(backbone, [task("tokenpose"), second], PEOPLE, person_canvas=CANVAS)
    assert str(error.value) == (
        "model: task 'pose' looks at 'centred' crops and task 'spot' at 'udp' ones; a model cuts one kind of "
        "crops, so make two models."
    )


@pytest.mark.parametrize(("variant", "rule"), [("vitpose", "udp"), ("tokenpose", "centred")])
def test_crops_are_cut_by_the_rule_of_the_variant(variant: str, rule: CropRule):
    model, image = make_model(variant=variant), images(1)[0]
    box = (5.0, 6.0, 30.0, 60.0)

    (found,) = predict(model, [image], boxes=[torch.tensor([box])])

    meta = person_meta(box, 64, 96, CANVAS, rule=rule)
    with evaluating(model):
        maps = model(crop_person(image, meta, CANVAS)[None], "person")
    (expected,) = task_of(model).decode(maps["pose"], [meta])
    torch.testing.assert_close(found.keypoints, expected.keypoints)


def test_every_variant_reports_coco_keypoint_ap():
    evaluator = task_of(make_model(variant="tokenpose")).evaluator()

    assert set(evaluator.compute()) >= {"AP", "AP50"}


# Flip test, suppression and scores, as ViTPose's code has them


def test_mirrored_maps_are_turned_back_and_pairs_swapped():
    subject = task(flip_test=True)
    plain, mirrored = torch.rand(2, 17, 16, 12), torch.rand(2, 17, 16, 12)

    found = subject.average(Heatmaps(plain, CANVAS), Heatmaps(mirrored, CANVAS)).maps

    assert subject.mirrors
    assert not task().mirrors
    for k in range(17):
        partner = k if k == 0 else k + 1 if k % 2 else k - 1
        for x in range(12):
            expected = (plain[:, k, :, x] + mirrored[:, partner, :, 11 - x]) / 2
            torch.testing.assert_close(found[:, k, :, x], expected)


def test_the_flip_test_gives_mirrored_crops_mirrored_keypoints():
    model = make_model(variant="vitpose", flip_test=True).eval()
    crops = images(2, CANVAS)

    with torch.inference_mode():
        maps = model.answers(crops, "person")["pose"].maps
        mirrored = model.answers(crops.flip(-1), "person")["pose"].maps

    order = list(COCO_PERSON.flip_order)
    torch.testing.assert_close(mirrored, maps.flip(-1)[:, order], atol=1e-6, rtol=1e-5)


def test_unknown_left_and_right_cannot_be_mirrored():
    hands = Categories((Category(5, "hand", HAND),))
    with pytest.raises(ConfigError) as error:
        PoseTask(PoseConfig(variant="vitpose", flip_test=True), hands)
    assert str(error.value) == (
        "tasks.pose.flip_test: the keypoints of 'hand' have no pairs of left and right, so mirrored crops "
        "cannot be read; leave it false."
    )


def official_oks(a: np.ndarray, b: np.ndarray, area_a: float, area_b: float) -> float:
    """The similarity of ViTPose's ``oks_iou``: all keypoints, the mean of the two areas."""
    variances = (2 * np.array(COCO_PERSON.sigmas)) ** 2
    distance = ((a - b) ** 2).sum(1)
    return float(np.mean(np.exp(-distance / variances / ((area_a + area_b) / 2 + np.spacing(1)) / 2)))


def test_of_poses_alike_the_best_remains():
    subject, rng = task(), np.random.default_rng(0)
    metas = [person_meta((0.0, 0.0, 60.0 + i, 100.0), 200, 150, (256, 192)) for i in range(6)]
    areas = [1.25**2 * 75.0 * 100.0] * 6
    base = rng.uniform(0, 100, (17, 2))
    poses = [base, base + 1, base + 30, base + 0.5, base + 31, rng.uniform(0, 100, (17, 2))]
    scores = [0.4, 0.9, 0.5, 0.1, 0.6, 0.3]
    parts = [
        ImageResult(replace(person(meta), keypoints=as_keypoints(pose), scores=torch.tensor([score])))
        for meta, pose, score in zip(metas, poses, scores, strict=True)
    ]

    found = subject.join(parts, metas)

    kept: list[int] = []
    for i in np.argsort(scores)[::-1]:
        if all(official_oks(poses[i], poses[j], areas[i], areas[j]) <= 0.9 for j in kept):
            kept.append(int(i))
    assert 2 < len(kept) < 6
    assert found.scores.tolist() == pytest.approx([scores[i] for i in kept])
    assert len(task(oks_nms=1.0).join(parts, metas)) == 6


def person(meta: ImageMeta) -> Instances:
    (found,) = task().decode(Heatmaps(torch.zeros(1, 17, 64, 48), (256, 192)), [meta])
    return found.instances


def as_keypoints(pose: np.ndarray) -> Tensor:
    return torch.cat([torch.from_numpy(pose).float(), torch.ones(17, 1)], 1)[None]


def test_peaks_above_one_count_as_one():
    maps = torch.zeros(1, 17, 64, 48)
    maps[0, :2, 10, 10] = torch.tensor([1.2, 1.1])

    (result,) = task().decode(
        Heatmaps(maps, (256, 192)), [person_meta((0.0, 0.0, 30.0, 40.0), 60, 60, (256, 192))]
    )

    assert result.scores.item() == 1
    assert result.keypoints[0, :3, 2].tolist() == [1, 1, 0]
