"""Windows around keypoints: where they look, and which map each of them reads."""

from dataclasses import replace

import torch

from mtvit_pose.onepass.window import windows
from support.tasks.pose_cases import images, make_model

FIRST = torch.tensor([0])


def test_window_without_evidence_stays_at_the_regressed_point():
    points = torch.rand(1, 2, 5, 2)
    sizes = torch.full((1, 2, 2), 0.2)

    found = windows(torch.zeros(1, 2, 5, 4), torch.rand(1, 4, 8, 8), FIRST, points, sizes, 7, 0.5)

    torch.testing.assert_close(found.points, points)


def test_window_moves_to_the_feature_its_embedding_looks_for():
    features = torch.zeros(1, 1, 64, 64)
    features[0, 0, 20, 40] = 1.0  # centre at x 40.5 / 64, y 20.5 / 64
    points = torch.tensor([[[[38.5, 22.5]]]]) / 64
    sizes = torch.full((1, 1, 2), 8 / 64)

    found = windows(torch.full((1, 1, 1, 1), 200.0), features, FIRST, points, sizes, 9, 0.5)

    torch.testing.assert_close(64 * found.points[0, 0, 0], torch.tensor([40.5, 20.5]), atol=1e-3, rtol=0)
    inside, outside = found.loss(torch.tensor([[[[40.5, 20.5]]]]) / 64), found.loss(torch.ones(1, 1, 1, 2))
    assert inside.item() > 0
    assert outside.item() == 0


def test_a_single_query_reads_the_map_of_its_own_layer_and_image() -> None:
    found = make_model(queries=5).train()(images(3))["pose"]
    # Two layers of three images, whose maps all differ.
    found = replace(found, maps=torch.randn_like(found.maps), embeddings=torch.randn_like(found.embeddings))
    layer, image, query = torch.tensor([0, 1, 1, 0]), torch.tensor([2, 0, 2, 1]), torch.tensor([4, 1, 3, 0])
    single = found.windows_of(layer, image, query)
    rows = torch.arange(5).expand(2, 3, -1)
    together = found.windows(rows).logits.unflatten(0, (2, 3))
    torch.testing.assert_close(single.logits[:, 0], together[layer, image, query])
