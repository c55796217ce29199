"""Of several ways to quantise a model the one that keeps most of its objects, sensitive parts left out."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.header import ExportHeader
from mtvit_core.deploy.quantise.int8 import recipes
from mtvit_core.deploy.quantise.parts import parts_of, products_of
from mtvit_core.deploy.report.agreement import agreement
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.results.image_result import ImageResult

#: Images by which ways and parts are told apart, and on which they are calibrated meanwhile.
_JUDGED, _CALIBRATED = 16, 32
#: AP that leaving out a part has to gain.
WORTH = 0.005


def quantise(
    file: Path, header: ExportHeader, model: MultiTaskViT, images: Sequence[Tensor], most_lost: float
) -> str:
    """Put a quantised file in the place of one in fp32.

    The way that keeps most is taken. Where that loses too much, parts stay as they are, the one first whose
    rounding costs most.

    Args:
        file: The file.
        header: What it is to say of itself.
        model: The model, whose objects are the measure.
        images: Images to calibrate on.
        most_lost: AP that objects of a task may lose before parts are left out.

    Returns:
        Name of the way, and the parts that were left out.

    Raises:
        ConfigError: what quantises is not installed.
    """
    trials = _Trials(file, header, model, images)
    way = max(recipes(file.suffix), key=lambda name: trials.score(name, ()))
    left_out: tuple[str, ...] = ()
    while trials.score(way, left_out) < 1 - most_lost:
        tried = [(*left_out, part) for part in trials.parts if part not in left_out]
        best = max(tried, key=lambda parts: trials.score(way, parts), default=left_out)
        if trials.score(way, best) < trials.score(way, left_out) + WORTH:
            break
        left_out = best
    trials.write(way, left_out)
    return f"{way}, without {', '.join(left_out)}" if left_out else way


@dataclass
class _Trials:
    """Quantised files that are made, judged and thrown away; each once."""

    file: Path
    header: ExportHeader
    model: MultiTaskViT
    images: Sequence[Tensor]
    scores: dict[tuple[str, tuple[str, ...]], float] = field(default_factory=dict)

    @cached_property
    def parts(self) -> dict[str, tuple[str, ...]]:
        return dict(parts_of(products_of(self.file)))

    @cached_property
    def canvases(self) -> list[UInt8[np.ndarray, "1 3 H W"]]:
        return [self.model.framing.apply(image)[None].numpy() for image in self.images]

    @cached_property
    def expected(self) -> Sequence[ImageResult]:
        return self.model.predict(list(self.images[:_JUDGED]), link=False)

    def score(self, way: str, left_out: tuple[str, ...]) -> float:
        """AP of the objects of the task that loses most, those of the model being the truth."""
        if (way, left_out) not in self.scores:
            with tempfile.TemporaryDirectory(dir=self.file.parent) as folder:
                target = Path(folder) / self.file.name
                self._make(way, left_out, target, self.canvases[:_CALIBRATED])
                found = ExportedModel(open_session(target)).predict(list(self.images[:_JUDGED]), link=False)
            names = [task.name for task in self.model.task_list if task.finds_objects]
            kept = [agreement(task, self.expected, found).ap for task in names]
            self.scores[way, left_out] = float(np.nanmin(kept)) if kept else 1.0
        return self.scores[way, left_out]

    def write(self, way: str, left_out: tuple[str, ...]) -> None:
        """Quantise once more, calibrated on all images, into the place of the file."""
        with tempfile.TemporaryDirectory(dir=self.file.parent) as folder:
            target = Path(folder) / self.file.name
            self._make(way, left_out, target, self.canvases)
            for part in target.parent.glob(f"{target.stem}.*"):
                part.replace(self.file.with_suffix(part.suffix))

    def _make(
        self, way: str, left_out: tuple[str, ...], target: Path, canvases: Sequence[np.ndarray]
    ) -> None:
        kept = [name for part in left_out for name in self.parts[part]]
        recipes(self.file.suffix)[way](self.file, target, self.header, canvases, kept)
