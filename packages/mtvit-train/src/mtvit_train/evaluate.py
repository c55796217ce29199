"""Evaluation of a model on a split: predict, decode, score each task by its own evaluator."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from mtvit_core.annotations import LABEL_KINDS
from mtvit_core.coco_engines import ENGINE, Engine
from mtvit_core.consistency import Consistency
from mtvit_core.contract import decode, own_details, own_metrics
from mtvit_core.details import Details
from mtvit_core.geometry import ImageMeta, Letterbox
from mtvit_core.instances import Instances, concatenate
from mtvit_core.model import MultiTaskViT, View
from mtvit_core.modes import evaluating
from mtvit_core.task import Evaluator, Task
from mtvit_train.assemble import AnyDataset, Split
from mtvit_train.data.loader import load
from mtvit_train.data.portions import portion
from mtvit_train.ranks import Ranks
from mtvit_train.stop import StopRequest

#: What was found in a canvas, and where the canvas comes from.
Part = tuple[Instances, ImageMeta]


def evaluate(model: MultiTaskViT, split: Split, batch_size: int = 25, workers: int = 0) -> dict[str, float]:
    """Return the metrics alone, keyed ``task/metric``; see ``evaluate_in_detail``."""
    return evaluate_in_detail(model, split, batch_size, workers).metrics


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation tells.

    Attributes:
        metrics: Numbers by ``task/metric``.
        details: Tables, charts and so on, by task.
    """

    metrics: dict[str, float]
    details: dict[str, Details]


def evaluate_in_detail(
    model: MultiTaskViT,
    split: Split,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
    min_score: float = 0.3,
    stop: StopRequest | None = None,
    engine: Engine = ENGINE,
) -> Evaluation:
    """Score every task on every image, and let its evaluator tell details.

    Several processes share the images, and all get the same.

    Args:
        model: The model, on the device to use.
        split: Data that the tasks' views were built for.
        batch_size: Images (or crops) per pass.
        workers: Loader processes.
        advance: Told the number of images done, for progress bars.
        min_score: Results below it do not count in details that have no curve over all scores, and are not
            linked.
        stop: Asked after every batch.
        engine: What computes COCO's average precision.

    Raises:
        StopAsked: in all processes, if one of them was asked to stop.
    """
    scored = evaluate_tasks(model, split, batch_size, workers, advance, stop, min_score, engine)

    def tell() -> Evaluation:
        parts = [own_metrics(name, evaluator.compute()) for name, evaluator in scored.items()]
        details = {
            name: own_details(name, evaluator.details(min_score)) for name, evaluator in scored.items()
        }
        return Evaluation({name: value for part in parts for name, value in part.items()}, details)

    return Ranks.current().lead(tell)


def evaluate_tasks(
    model: MultiTaskViT,
    split: Split,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
    stop: StopRequest | None = None,
    min_score: float = 0.3,
    engine: Engine = ENGINE,
) -> dict[str, Evaluator]:
    """Return the evaluators of every task, filled with the results on every image.

    Where several tasks find objects, one more says how consistent they are, by the name ``link``. Arguments
    as those of ``evaluate_in_detail``. Of several processes, only the first one's hold every image; those of
    the others hold their own.
    """
    evaluators: dict[str, Evaluator] = {task.name: task.evaluator() for task in model.task_list}
    for evaluator in evaluators.values():
        evaluator.use_engine(engine)
    needs = {task.name: frozenset(task.needs) for task in model.task_list}
    linked = {t.name: needs[t.name] for t in model.task_list if t.linkable and t.needs & set(LABEL_KINDS)}
    consistency = Consistency(linked, min_score)
    if len(linked) > 1:
        evaluators["link"] = consistency
    with evaluating(model), (stop or StopRequest()).apart() as check:
        for view in model.views:
            for found in _results(model, split, view, batch_size, workers, advance):
                for name, results in found.items():
                    _score(evaluators[name], results, split, needs[name])
                consistency.update([concatenate(parts) for parts in zip(*found.values(), strict=True)])
                check()
    states = Ranks.current().gather({name: evaluator.state() for name, evaluator in evaluators.items()})
    if len(states) > 1:
        for name, evaluator in evaluators.items():
            evaluator.merge([state[name] for state in states])
    return evaluators


def _results(
    model: MultiTaskViT,
    split: Split,
    view: View,
    batch_size: int,
    workers: int,
    advance: Callable[[int], None] | None,
) -> Iterator[dict[str, list[Instances]]]:
    """Yield results by task, one per image; crops of one image, which follow each other, are joined.

    Images without crops come last, in the first process: nothing was found in them.
    """
    dataset, ranks = split.views[view], Ranks.current()
    # Canvases that differ in size cannot be stacked.
    alike = view == "person" or isinstance(model.framing, Letterbox)
    batches = portion(dataset, batch_size if alike else 1, ranks.rank, ranks.world)
    pending: dict[str, list[Part]] = {task.name: [] for task in model.of_view(view)}
    with closing(load(dataset, batches, workers)) as stream:
        for batch in stream:
            predictions, whole = model.answers(batch.images, view), {}
            for task in model.of_view(view):
                results = decode(task, predictions[task.name], batch.meta, model.shares(task.name))
                found = pending[task.name] + list(zip(results, batch.meta, strict=True))
                # The last image may go on in the next batch.
                last = found[-1][0].image_id
                pending[task.name] = [part for part in found if part[0].image_id == last]
                whole[task.name] = _join(task, view, [part for part in found if part[0].image_id != last])
            yield whole
            if advance is not None:
                advance(len(batch))
    nothing = _nothing(model, split, dataset) if ranks.leads else []
    yield {task.name: _join(task, view, pending[task.name]) + nothing for task in model.of_view(view)}


def _nothing(model: MultiTaskViT, split: Split, dataset: AnyDataset) -> list[Instances]:
    """Empty results for the images of a split that have no crop."""
    cropped = {dataset.image_of(index) for index in range(len(dataset))}
    records = [split.packed.image(i) for i in range(len(split.packed)) if i not in cropped]
    return [Instances.empty(r.height, r.width, model.categories, r.image_id, r.file_name) for r in records]


def _join(task: Task[Any, Any, Any], view: View, parts: list[Part]) -> list[Instances]:
    if view == "image":
        return [result for result, _ in parts]
    by_image: dict[int, list[Part]] = {}
    for part in parts:
        by_image.setdefault(part[0].image_id, []).append(part)
    return [task.join(*map(list, zip(*same, strict=True))) for same in by_image.values()]


def _score(evaluator: Evaluator, results: list[Instances], split: Split, needs: frozenset[str]) -> None:
    """Hand the evaluator one image at a time: true masks at original size are many bytes."""
    for result in results:
        index = split.packed.index_of_id[result.image_id]
        record = split.packed.image(index)
        meta = ImageMeta.whole(record.height, record.width, record.image_id, record.path.name)
        evaluator.update([result], [split.packed.original(index, needs)], [meta])
