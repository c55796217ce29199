"""COCO average precision of boxes, masks and keypoints (Lin et al. 2014)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from mtvit_core.errors import DataError
from mtvit_core.evaluation.coco_curves import ClassScore, Curves
from mtvit_core.evaluation.coco_details import coco_details
from mtvit_core.evaluation.coco_engines import ENGINE, MAX_RESULTS, Engine, check_engine, coco_curves
from mtvit_core.evaluation.coco_entries import Entry, IouType, annotation_entries
from mtvit_core.evaluation.coco_image import CocoImage
from mtvit_core.evaluation.details import Details
from mtvit_core.evaluation.evaluator import Evaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations, annotated_classes
from mtvit_core.structures.categories import Categories
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.structures.instances import Instances

#: The kind of label that each kind of comparison needs.
_LABEL = {"bbox": "boxes", "segm": "masks", "keypoints": "keypoints"}
#: The field of a result entry that is compared.
_FIELD = {"bbox": "bbox", "segm": "segmentation", "keypoints": "keypoints"}


class CocoEvaluator(Evaluator):
    """Scores one kind of result against annotations in original pixels.

    Images that are not labelled for this kind are left out altogether, and so are objects and results of a
    category that is not, or not fully, annotated in an image: nobody knows whether results are right. What is
    kept per image are packed numbers and run lengths, never masks at full size.
    """

    def __init__(
        self,
        task: str,
        iou_type: IouType,
        categories: Categories,
        engine: Engine = ENGINE,
        results: int = 0,
    ) -> None:
        """Start without images.

        Args:
            task: Whose results are scored; those of other tasks in the same result are left out.
            iou_type: What is compared: boxes, masks or keypoints. Keypoints are scored for the categories
                that have a schema, each with its own sigmas.
            categories: Classes of the annotations.
            engine: What compares and counts.
            results: How many results an image may have by its task; where these are more than COCO's tables
                count, as many count.

        Raises:
            ConfigError: there is no such engine.
            DataError: keypoints are to be scored, but no category has any, or a schema lacks sigmas.
        """
        if iou_type == "keypoints":
            _check_sigmas(task, categories)
        check_engine(engine)
        self._task = task
        self._kind: IouType = iou_type
        self._categories = categories
        self._engine: Engine = engine
        self._most = max(results, MAX_RESULTS[iou_type])
        self._images: dict[int, CocoImage] = {}
        self._curves: Curves | None = None

    def use_engine(self, engine: Engine) -> None:
        """Compare and count by this engine; see ``Evaluator.use_engine``.

        Raises:
            ConfigError: there is no such engine.
        """
        check_engine(engine)
        self._engine, self._curves = engine, None

    def use_limit(self, most: int) -> None:
        """Count so many results of an image and a category; see ``Evaluator.use_limit``."""
        self._most, self._curves = most, None

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        """Add images; see ``Evaluator.update``. An image that is already there counts once, as first seen.

        Raises:
            DataError: two different images share an id, a result is of a category that the annotations do not
                know, or a score is not finite.
        """
        self._curves = None
        for found, truth, image in zip(results, annotations, meta, strict=True):
            if _LABEL[self._kind] not in truth.has:
                continue
            packed = CocoImage.pack(
                image.file_name,
                image.height,
                image.width,
                self._annotated(annotation_entries(truth, self._categories, self._kind), truth),
                self._annotated(self._result_entries(found.instances.of(self._task), image), truth),
            )
            self._add(image.image_id, packed)

    def state(self) -> dict[str, Any]:
        """Return the images with their annotations and results."""
        return {"images": self._images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Replace what has been collected; see ``Evaluator.merge``.

        Raises:
            DataError: two different images share an id.
        """
        self._images, self._curves = {}, None
        for state in states:
            for image_id, image in state["images"].items():
                self._add(image_id, image)

    def compute(self) -> dict[str, float]:
        """Return AP, AP50, AP75, APs, APm, APl and AR; for keypoints without APs, as COCO has it."""
        curves = self._evaluated()
        scores = {
            "AP": curves.average_precision(),
            "AP50": curves.average_precision(0.5),
            "AP75": curves.average_precision(0.75),
        }
        for key, area in (("APs", "small"), ("APm", "medium"), ("APl", "large")):
            if area in curves.areas:
                scores[key] = curves.average_precision(area=area)
        return {**scores, "AR": curves.average_recall()}

    def per_class(self) -> tuple[ClassScore, ...]:
        """Return the scores of every category that is evaluated, by rising id."""
        curves = self._evaluated()
        entries = (entry for image in self._images.values() for entry in image.annotations)
        counted = Counter(e["category_id"] for e in entries if not e["iscrowd"] and e.get("num_keypoints", 1))
        scores = []
        for k, category in enumerate(curves.categories):
            one = curves.only(k)
            ap, ap50, ar = one.average_precision(), one.average_precision(0.5), one.average_recall()
            scores.append(ClassScore(category, counted[category.id], ap, ap50, ar))
        return tuple(scores)

    def details(self, min_score: float) -> Details:
        """Return scores of classes, precision over recall, confusions, errors of keypoints, and mistakes."""
        curves, scores = self._evaluated(), self.per_class()
        return coco_details(self._images, self._categories, self._kind, curves, scores, min_score)

    def _evaluated(self) -> Curves:
        if self._curves is None:
            self._curves = coco_curves(self._images, self._categories, self._kind, self._engine, self._most)
        return self._curves

    def _annotated(self, entries: list[Entry], truth: Annotations) -> list[Entry]:
        """Keep what is of a category that is annotated in the image."""
        known = annotated_classes([truth], len(self._categories))[0].tolist()
        return [e for e in entries if known[self._categories.label_of_id[e["category_id"]]]]

    def _result_entries(self, found: Instances, image: ImageMeta) -> list[Entry]:
        where = f"evaluation of {self._task}, image {image.image_id} {image.file_name!r}"
        if not bool(torch.isfinite(found.scores).all()):
            raise DataError(f"{where}: a result has a score that is not finite; the model has diverged.")
        entries = [entry for entry in found.to_coco() if _FIELD[self._kind] in entry]
        for entry in entries:
            self._check_category(entry, where)
        # COCOeval would take a result's area from its bbox, had it one beside its mask or keypoints.
        keep = ("category_id", "score", _FIELD[self._kind])
        return [{key: entry[key] for key in keep} for entry in entries]

    def _check_category(self, entry: Entry, where: str) -> None:
        label = self._categories.label_of_id.get(entry["category_id"])
        if label is None:
            raise DataError(
                f"{where}: a result is of category id {entry['category_id']}, which the annotations do not "
                "have; evaluate a model on the categories it was trained for."
            )
        schema = self._categories[label].keypoints
        expected = 0 if schema is None else len(schema.names)
        if self._kind == "keypoints" and len(entry["keypoints"]) != 3 * expected:
            raise DataError(
                f"{where}: a result of category {self._categories[label].name!r} has "
                f"{len(entry['keypoints']) // 3} keypoints, the annotations have {expected}; evaluate a "
                "model on the schema it was trained for."
            )

    def _add(self, image_id: int, new: CocoImage) -> None:
        old = self._images.setdefault(image_id, new)
        if not old.is_same(new):
            raise DataError(
                f"evaluation of {self._task}: image id {image_id} is used for both {old.file_name!r} and "
                f"{new.file_name!r}; ids must be unique."
            )


def _check_sigmas(task: str, categories: Categories) -> None:
    if not categories.keypoint_labels:
        raise DataError(
            f"evaluation of {task}: none of the {len(categories)} categories has keypoints; give the "
            "category a keypoint schema (`keypoints` and `skeleton` in the annotation file), or leave the "
            "task out."
        )
    for label in categories.keypoint_labels:
        category = categories[label]
        if category.keypoints is not None and not category.keypoints.sigmas:
            raise DataError(
                f"evaluation of {task}: the keypoints of category {category.name!r} have no sigmas, so their "
                f"similarity (OKS) is undefined; give {len(category.keypoints.names)} sigmas, one per "
                "keypoint."
            )
