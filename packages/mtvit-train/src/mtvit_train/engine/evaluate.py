"""Evaluation of a model on a split: predict, decode, score each task by its own evaluator."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from mtvit_core.evaluation.coco_engines import ENGINE, Engine
from mtvit_core.evaluation.consistency import Consistency
from mtvit_core.evaluation.details import Details
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.inference.predictor import Predictor
from mtvit_core.inference.results import results_of
from mtvit_core.results.image_result import ImageResult, merged
from mtvit_core.structures.annotations import LABEL_KINDS
from mtvit_core.structures.batch import Batch
from mtvit_core.structures.framing import ImageMeta, Letterbox
from mtvit_core.tasks.contract import own_details, own_metrics
from mtvit_core.tasks.task import View
from mtvit_train.build.splits import AnyDataset, DataSplit
from mtvit_train.data.loading.evaluation_batches import portion
from mtvit_train.data.loading.loader import load
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.distributed.stop_signals import StopRequest


def evaluate(model: Predictor, split: DataSplit, batch_size: int = 25, workers: int = 0) -> dict[str, float]:
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
    model: Predictor,
    split: DataSplit,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
    min_score: float = 0.3,
    stop: StopRequest | None = None,
    engine: Engine = ENGINE,
    max_dets: int = 0,
) -> Evaluation:
    """Score every task on every image that the split has to score, and let its evaluator tell details.

    Several processes share the images, and all get the same.

    Args:
        model: A model, on the device to use, or an exported program.
        split: Data that the tasks' views were built for.
        batch_size: Images (or crops) per pass.
        workers: Loader processes.
        advance: Told the number of images done, for progress bars.
        min_score: Results below it do not count in details that have no curve over all scores, and are not
            linked.
        stop: Asked after every batch.
        engine: What computes COCO's average precision.
        max_dets: Results of an image and a category that count; 0 leaves it to the evaluators.

    Raises:
        StopAsked: in all processes, if one of them was asked to stop.
    """
    scored = evaluate_tasks(model, split, batch_size, workers, advance, stop, min_score, engine, max_dets)

    def tell() -> Evaluation:
        details = {
            name: own_details(name, evaluator.details(min_score)) for name, evaluator in scored.items()
        }
        return Evaluation(metrics_of(scored), details)

    return Ranks.current().lead(tell)


def metrics_of(scored: Mapping[str, Evaluator]) -> dict[str, float]:
    """Return the metrics of evaluators, keyed ``task/metric``."""
    parts = [own_metrics(name, evaluator.compute()) for name, evaluator in scored.items()]
    return {name: value for part in parts for name, value in part.items()}


def evaluate_tasks(
    model: Predictor,
    split: DataSplit,
    batch_size: int = 25,
    workers: int = 0,
    advance: Callable[[int], None] | None = None,
    stop: StopRequest | None = None,
    min_score: float = 0.3,
    engine: Engine = ENGINE,
    max_dets: int = 0,
) -> dict[str, Evaluator]:
    """Return the evaluators of every task, filled with the results on every image.

    Where several tasks find objects, one more says how consistent they are, by the name ``link``. Arguments
    as those of ``evaluate_in_detail``. Of several processes, only the first one's hold every image; those of
    the others hold their own.
    """
    evaluators: dict[str, Evaluator] = {task.name: task.evaluator() for task in model.task_list}
    for evaluator in evaluators.values():
        evaluator.use_engine(engine)
        if max_dets:
            evaluator.use_limit(max_dets)
    needs = {task.name: frozenset(task.needs) for task in model.task_list}
    finders = [task for task in model.task_list if task.linkable and task.finds_objects]
    linked = {task.name: needs[task.name] for task in finders if task.needs & set(LABEL_KINDS)}
    consistency = Consistency(linked, min_score)
    if len(linked) > 1:
        evaluators["link"] = consistency
    with model.answering(), (stop or StopRequest()).apart() as check:
        for view in model.views:
            for found in _results(model, split, view, batch_size, workers, advance):
                for name, results in found.items():
                    _score(evaluators[name], results, split, needs[name] | evaluators[name].reads)
                consistency.update([merged(parts) for parts in zip(*found.values(), strict=True)])
                check()
    states = Ranks.current().gather({name: evaluator.state() for name, evaluator in evaluators.items()})
    if len(states) > 1:
        for name, evaluator in evaluators.items():
            evaluator.merge([state[name] for state in states])
    return evaluators


def _results(
    model: Predictor,
    split: DataSplit,
    view: View,
    batch_size: int,
    workers: int,
    advance: Callable[[int], None] | None,
) -> Iterator[dict[str, list[ImageResult]]]:
    """Yield results by task, one per image.

    Images without crops come last, in the first process: nothing was found in them.
    """
    dataset, ranks = split.views[view], Ranks.current()
    # Canvases that differ in size cannot be stacked.
    alike = view == "person" or isinstance(model.framing, Letterbox)
    batches = portion(dataset, batch_size if alike else 1, ranks.rank, ranks.world, split.scores)
    with closing(load(dataset, batches, workers)) as stream:
        yield from results_of(model, view, _counted(stream, advance))
    if view == "person" and ranks.leads:
        nothing = _nothing(model, split, dataset)
        yield {task.name: nothing for task in model.of_view(view)}


def _counted(stream: Iterable[Batch], advance: Callable[[int], None] | None) -> Iterator[Batch]:
    """Tell how many images are done, once their results have been taken."""
    for batch in stream:
        yield batch
        if advance is not None:
            advance(len(batch))


def _nothing(model: Predictor, split: DataSplit, dataset: AnyDataset) -> list[ImageResult]:
    """Empty results for the images of a split that have no crop."""
    cropped = {dataset.image_of(index) for index in range(len(dataset))}
    records = [
        split.packed.image(i) for i in range(len(split.packed)) if i not in cropped and split.scores(i)
    ]
    metas = [ImageMeta.whole(r.height, r.width, r.image_id, r.file_name) for r in records]
    return [ImageResult.empty(meta, model.categories) for meta in metas]


def _score(evaluator: Evaluator, results: list[ImageResult], split: DataSplit, needs: frozenset[str]) -> None:
    """Hand the evaluator one image at a time: true masks at original size are many bytes."""
    for result in results:
        index = split.packed.index_of_id[result.image_id]
        record = split.packed.image(index)
        meta = ImageMeta.whole(record.height, record.width, record.image_id, record.path.name)
        evaluator.update([result], [split.packed.original(index, needs)], [meta])
