"""Counts and random numbers of a batch that is shared out."""

import pytest
import torch

from mtvit_core import image_generators, shared_count
from mtvit_core.errors import PluginError
from mtvit_core.losses.global_batch import Counts, sharing


def test_a_count_alone_is_itself_and_at_least_one() -> None:
    assert shared_count(torch.tensor([0, 1, 7])).tolist() == [1, 1, 7]
    assert shared_count(torch.tensor(0.0), least=1e-6).item() == pytest.approx(1e-6)


def test_a_mean_over_shares_is_the_mean_over_the_batch() -> None:
    values = [torch.tensor([1.0, 2.0, 6.0]), torch.zeros(0), torch.tensor([7.0])]
    counts = Counts()
    for share in values:
        with counts.counting():
            shared_count(torch.tensor(len(share)))
    terms = []
    for share in values:
        with counts.handing_out():
            terms.append(share.sum() / shared_count(torch.tensor(len(share))))
    assert torch.stack(terms).mean().item() == pytest.approx(16 / 4)


def test_shares_without_anything_to_count_divide_by_one_in_all() -> None:
    counts = Counts()
    for _ in range(2):
        with counts.counting():
            shared_count(torch.tensor(0))
    with counts.handing_out():
        assert shared_count(torch.tensor(0)).item() == 0.5


@pytest.mark.parametrize(("first", "second"), [(2, 1), (1, 2)])
def test_passes_that_count_differently_are_refused(first: int, second: int) -> None:
    counts = Counts()
    with counts.counting():
        for _ in range(first):
            shared_count(torch.tensor(1))
    message = (
        f"loss: shared_count was called {first} times in one pass of a batch and {second} times in another; "
        "call it before any return or branch that depends on what a batch holds."
    )
    for during in (counts.counting, counts.handing_out):
        with pytest.raises(PluginError) as caught, during():  # noqa: PT012  # the last call or the end raises
            for _ in range(second):
                shared_count(torch.tensor(1))
        assert str(caught.value) == message


def draw(index: int, of: int, images: int, calls: int = 2) -> torch.Tensor:
    """What the images of a share draw in the last of some calls."""
    with sharing(index, of, seed=5):
        for _ in range(calls):
            sources = image_generators(images, torch.device("cpu"))
    return torch.stack([torch.rand(3, generator=source) for source in sources])


def test_an_image_draws_the_same_numbers_in_any_share() -> None:
    whole = draw(0, 1, 6)
    assert torch.equal(torch.cat([draw(0, 2, 3), draw(1, 2, 3)]), whole)
    assert torch.equal(torch.cat([draw(i, 6, 1) for i in range(6)]), whole)
    assert len(whole.unique()) == whole.numel()
    assert not torch.equal(draw(0, 1, 6, calls=1), whole)


def test_without_shares_the_numbers_come_from_the_global_generator() -> None:
    torch.manual_seed(3)
    found = [torch.rand(2, generator=source) for source in image_generators(2, torch.device("cpu"))]
    torch.manual_seed(3)
    assert torch.equal(torch.stack(found), torch.rand(2, 2))
