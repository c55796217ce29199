"""A task under test: its class and settings, a small model of it, and what that model is shown."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mtvit_core.config import validate
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.modes import evaluating, keeping_modes
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks import contract
from mtvit_core.tasks.task import Task
from mtvit_core.testing.breach import Breach
from mtvit_core.testing.example import Example
from mtvit_core.testing.mirror import Mirror
from mtvit_core.testing.sample import Sample, mirrored, person_crops, whole_images

M = TypeVar("M", bound=nn.Module)
#: Rows and columns of what a task sees, by view; not square, so that swapped axes show.
CANVASES = {"image": (64, 96), "person": (128, 96)}
#: A ViT that runs in milliseconds: patches of 8 pixels, four blocks.
BACKBONE = "vit_tiny_patch16_224"
OPTIONS = {"patch_size": 8, "embed_dim": 48, "depth": 4, "num_heads": 3}


@dataclass(frozen=True)
class Case:
    """What the checks are given.

    Attributes:
        cls: The task's class.
        settings: Its settings, as in a config file.
        categories: Classes of the examples.
        examples: Images with their truth.
        best: Metrics that perfect predictions reach.
        steps: Updates of the training check.
        lr: Learning rate of the training check.
    """

    cls: type[Task[Any, Any, Any]]
    settings: Mapping[str, Any]
    categories: Categories
    examples: Callable[[], tuple[Example, ...]]
    best: Mapping[str, float]
    steps: int
    lr: float

    @cached_property
    def task(self) -> Task[Any, Any, Any]:
        """The task with its settings."""
        config = validate(self.cls.Config, self.settings, f"tasks.{self.cls.name}")
        return self.cls(config, self.categories)

    @cached_property
    def sample(self) -> Sample:
        """All examples as the task sees them."""
        return self.place(self.examples())

    @property
    def mirror(self) -> Mirror:
        """What a mirror does to coordinates of the task's view."""
        return Mirror.of_crops(self.task.crop) if self.task.view == "person" else Mirror()

    @cached_property
    def mirrored_sample(self) -> Sample:
        """All examples in a mirror, as the task sees them."""
        return self.place(mirrored(self.examples(), self.categories, self.mirror))

    def place(self, examples: Sequence[Example]) -> Sample:
        """Put examples on the canvas of the task's view."""
        if self.task.view == "person":
            return person_crops(examples, self.categories, CANVASES["person"], self.task.crop)
        return whole_images(examples, CANVASES["image"])

    def model(self, *others: Task[Any, Any, Any], first: bool = True, seed: int = 0) -> MultiTaskViT:
        """Build a small model with fresh weights.

        Args:
            others: More tasks.
            first: Whether the task under test comes before them.
            seed: Of the weights.
        """
        torch.manual_seed(seed)
        tasks = (self.task, *others) if first else (*others, self.task)
        backbone = create_backbone(BACKBONE, CANVASES["image"], options=OPTIONS)
        return MultiTaskViT(backbone, tasks, self.categories, CANVASES["person"])

    def stirred(self, *others: Task[Any, Any, Any], first: bool = True, seed: int = 0) -> MultiTaskViT:
        """Build a model whose weights are all random, also those that heads start at zero."""
        return stir(self.model(*others, first=first, seed=seed)).eval()

    def predict(self, model: MultiTaskViT, sample: Sample) -> Any:
        """Return the task's predictions in evaluation mode."""
        with evaluating(model):
            return model(sample.images, self.task.view)[self.task.name]

    def decode(self, predictions: Any, sample: Sample) -> list[ImageResult]:
        """Return the task's results.

        Raises:
            PluginError: they are not one per image, or not all the task's own.
        """
        with torch.inference_mode():
            return contract.decode(self.task, predictions, sample.meta)

    def losses(self, model: MultiTaskViT, sample: Sample) -> dict[str, Tensor]:
        """Return the task's terms by their own names, in the mode the model is in."""
        prefix = f"{self.task.name}/"
        terms = model.losses(sample.batch, self.task.view)
        return {name.removeprefix(prefix): v for name, v in terms.items() if name.startswith(prefix)}

    def targets(self, sample: Sample) -> Any:
        """Return the task's targets on the CPU."""
        return self.task.targets(sample.annotations, sample.canvas, torch.device("cpu"))

    def perfect(self, model: MultiTaskViT, sample: Sample) -> Any:
        """Return predictions that say what the targets say.

        Raises:
            Breach: the task does not know how to make them.
        """
        perfect = self.task.perfect(self.predict(model, sample), self.targets(sample))
        if perfect is None:
            raise Breach(
                f"{self.cls.__name__}.perfect returned None, so nothing can be said of targets, decoding and "
                "evaluation",
                "define `perfect(self, predictions, targets)`: predictions of the same form that say exactly "
                "what the targets say",
            )
        return perfect


def stir(module: M) -> M:
    """Draw all weights anew, so that none is zero."""
    for value in module.parameters():
        nn.init.normal_(value, std=0.5 if value.ndim < 2 else value[0].numel() ** -0.5)
    return module


@contextmanager
def supervised(model: MultiTaskViT) -> Iterator[None]:
    """Let the backbone give the depths of training while no head draws at random."""
    with keeping_modes(model):
        model.eval()
        model.backbone.train()
        yield


def backward(terms: Mapping[str, Tensor]) -> float:
    """Compute the gradients of the sum of loss terms, and return the sum."""
    total = torch.stack(list(terms.values())).sum()
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return total.item()


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turn whatever is raised inside into a breach.

    Args:
        what: What was being done.
        remedy: What fixes it.
    """
    try:
        yield
    except Breach:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise Breach(f"{what} raised {type(error).__name__}: {message}", remedy) from error
