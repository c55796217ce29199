"""From canvases to results: the one way that prediction and evaluation take."""

from collections.abc import Iterable, Iterator

import torch

from mtvit_core.inference.predictor import Predictor
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.contract import decode
from mtvit_core.tasks.task import AnyTask, View

#: What was found on a canvas, and where the canvas comes from.
Placed = tuple[ImageResult, ImageMeta]


def results_of(
    model: Predictor, view: View, batches: Iterable[Batch]
) -> Iterator[dict[str, list[ImageResult]]]:
    """Yield results by task name, one per image, as soon as they are complete.

    At most one batch and one image wait. Call it inside ``model.answering()``.

    Args:
        model: What answers.
        view: What the batches show.
        batches: Canvases of one size each; crops of one image follow each other and share its id.
    """
    tasks = model.of_view(view)
    pending: dict[str, list[Placed]] = {task.name: [] for task in tasks}
    for batch in batches:
        found = decoded(model, view, batch)
        if view == "person":
            found = {t.name: _complete(t, pending, found[t.name], batch.meta) for t in tasks}
        yield found
    if view == "person":
        yield {task.name: _joined(task, pending[task.name]) for task in tasks}


def decoded(model: Predictor, view: View, batch: Batch) -> dict[str, list[ImageResult]]:
    """Return what every task of a view says of each canvas, by task name."""
    predictions = model.answers(batch.images, view)
    # Results are made in full precision, whatever the caller's autocast says.
    with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
        return {
            task.name: decode(task, predictions[task.name], batch.meta, model.shares(task.name))
            for task in model.of_view(view)
        }


def _complete(
    task: AnyTask,
    pending: dict[str, list[Placed]],
    results: list[ImageResult],
    meta: tuple[ImageMeta, ...],
) -> list[ImageResult]:
    """Join the crops of every image but the last, which may go on in the next batch."""
    crops = pending[task.name] + list(zip(results, meta, strict=True))
    last = crops[-1][1].image_id
    pending[task.name] = [crop for crop in crops if crop[1].image_id == last]
    return _joined(task, [crop for crop in crops if crop[1].image_id != last])


def _joined(task: AnyTask, crops: list[Placed]) -> list[ImageResult]:
    by_image: dict[int, list[Placed]] = {}
    for crop in crops:
        by_image.setdefault(crop[1].image_id, []).append(crop)
    return [task.join(*map(list, zip(*same, strict=True))) for same in by_image.values()]
