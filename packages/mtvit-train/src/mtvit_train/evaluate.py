"""Evaluation of a model on a split: predict, decode, score each task by its own evaluator."""

from collections.abc import Callable, Iterator

from mtvit_core.geometry import ImageMeta
from mtvit_core.instances import Instances, concatenate
from mtvit_core.model import MultiTaskViT, View, evaluating
from mtvit_core.task import Evaluator
from mtvit_train.assemble import Split
from mtvit_train.data.loader import load
from mtvit_train.data.sampler import EpochSampler


def evaluate(
    model: MultiTaskViT,
    split: Split,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
) -> dict[str, float]:
    """Score every task on every image.

    Args:
        model: The model, on the device to use.
        split: Data that the tasks' views were built for.
        batch_size: Images (or crops) per pass.
        workers: Loader processes.
        advance: Told the number of images done, for progress bars.

    Returns:
        Metrics keyed ``task/metric``.
    """
    return {
        f"{name}/{metric}": value
        for name, evaluator in evaluate_tasks(model, split, batch_size, workers, advance).items()
        for metric, value in evaluator.compute().items()
    }


def evaluate_tasks(
    model: MultiTaskViT,
    split: Split,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
) -> dict[str, Evaluator]:
    """Return the evaluators of every task, filled with the results on every image."""
    evaluators: dict[str, Evaluator] = {task.name: task.evaluator() for task in model.task_list}
    needs = {task.name: frozenset(task.needs) for task in model.task_list}
    with evaluating(model):
        for view in model.views:
            for name, results in _results(model, split, view, batch_size, workers, advance):
                _score(evaluators[name], results, split, needs[name])
    return evaluators


def _results(
    model: MultiTaskViT,
    split: Split,
    view: View,
    batch_size: int,
    workers: int,
    advance: Callable[[int], None] | None,
) -> Iterator[tuple[str, list[Instances]]]:
    """Yield each task's results, one per image; crops of one image, which follow each other, are joined."""
    dataset = split.views[view]
    sampler = EpochSampler(len(dataset), batch_size, shuffle=False, epochs=1)
    pending: dict[str, list[Instances]] = {task.name: [] for task in model.of_view(view)}
    for batch in load(dataset, sampler, workers):
        predictions = model(batch.images, view)
        for task in model.of_view(view):
            found = pending[task.name] + task.decode(predictions[task.name], batch.meta)
            images = _join(found)
            # The last image may go on in the next batch.
            last = images[-1].image_id
            pending[task.name] = [part for part in found if part.image_id == last]
            yield task.name, images[:-1]
        if advance is not None:
            advance(len(batch))
    for name, found in pending.items():
        yield name, _join(found)


def _join(parts: list[Instances]) -> list[Instances]:
    by_image: dict[int, list[Instances]] = {}
    for part in parts:
        by_image.setdefault(part.image_id, []).append(part)
    return [concatenate(same) for same in by_image.values()]


def _score(evaluator: Evaluator, results: list[Instances], split: Split, needs: frozenset[str]) -> None:
    truth, metas = [], []
    for result in results:
        index = split.packed.index_of_id[result.image_id]
        record = split.packed.image(index)
        truth.append(split.packed.original(index, needs))
        metas.append(ImageMeta.whole(record.height, record.width, record.image_id, record.path.name))
    evaluator.update(results, truth, metas)
