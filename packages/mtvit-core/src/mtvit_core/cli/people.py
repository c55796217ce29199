"""Where ``mtvit predict`` takes people from, when not from the model itself: a file, or another model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.load import load
from mtvit_core.errors import ConfigError
from mtvit_core.inference.people import (
    PERSON_SCORE,
    people_of,
    posed_names,
    read_image_ids,
    read_person_boxes,
)
from mtvit_core.inference.predictor import Predictor
from mtvit_core.model.multitask_vit import MultiTaskViT

#: From indices and pixels of some images to boxes of their people, x0 y0 x1 y1 and score.
PersonSource = Callable[[Sequence[int], Sequence[Tensor]], list[Tensor]]


def person_source(
    model: Predictor,
    where: Path,
    paths: Sequence[Path],
    boxes: Path | None = None,
    annotations: Path | None = None,
    detector: Path | None = None,
    min_score: float = PERSON_SCORE,
    device: str | None = None,
) -> PersonSource | None:
    """Follow ``--boxes``, ``--annotations`` and ``--detector``; None where none of them is given.

    Args:
        model: The model that looks at people.
        where: Its file, for messages.
        paths: The images.
        boxes: A file of boxes, see ``read_person_boxes``.
        annotations: A file that tells the ids of the images.
        detector: A model with a task that finds boxes.
        min_score: Least score of people that the detector finds.
        device: Where the detector runs.

    Raises:
        ConfigError: the options contradict each other or the model, or the detector finds no people.
        CheckpointError: the detector cannot be loaded.
        DataError: a file is missing or malformed.
    """
    if annotations is not None and boxes is None:
        raise ConfigError(f"annotations {annotations}: they tell the ids of images for --boxes; give both.")
    if boxes is None and detector is None:
        return None
    option, given = ("boxes", boxes) if boxes is not None else ("detector", detector)
    if boxes is not None and detector is not None:
        raise ConfigError(f"boxes {boxes} and detector {detector}: each tells who to look at; give one.")
    if "person" not in model.views:
        raise ConfigError(
            f"{option} {given}: no task of {where} looks at one person at a time; leave --{option} out."
        )
    if boxes is not None:
        ids = None if annotations is None else read_image_ids(annotations, paths)
        known = read_person_boxes(boxes, paths, model.categories, ids)
        return lambda rows, images: [known[i] for i in rows]
    assert detector is not None
    return _found_by(load(detector, device=device), detector, posed_names(model.categories), min_score)


def _found_by(
    detector: MultiTaskViT | ExportedModel, where: Path, names: set[str], min_score: float
) -> PersonSource:
    finder = next((task.name for task in detector.of_view("image") if task.finds_boxes), None)
    if finder is None:
        tasks = ", ".join(task.name for task in detector.task_list) or "none"
        raise ConfigError(f"detector {where}: none of its tasks ({tasks}) finds boxes; give another model.")
    if not names & {category.name for category in detector.categories}:
        raise ConfigError(
            f"detector {where}: it knows no {' or '.join(sorted(names))} among its "
            f"{len(detector.categories)} categories; give another model."
        )

    def find(rows: Sequence[int], images: Sequence[Tensor]) -> list[Tensor]:
        found = detector.predict(list(images), batch_size=max(1, len(images)), link=False)
        return [people_of(result.of(finder).instances, names, min_score) for result in found]

    return find
