"""Several evaluators of one task as one."""

from collections.abc import Mapping, Sequence
from typing import Any

from mtvit_core.evaluation.coco_engines import Engine
from mtvit_core.evaluation.details import Details, Matrix, Mistakes, Table
from mtvit_core.evaluation.evaluator import Evaluator, JointEvaluator
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.annotations import Annotations
from mtvit_core.structures.categories import Categories, Category
from mtvit_core.structures.framing import ImageMeta

CATEGORIES = Categories((Category(1, "cat"),))


class Seen(Evaluator):
    """Counts the images it has seen, under a name."""

    def __init__(self, name: str, mistakes: tuple[Mistakes, ...] = ()) -> None:
        self.name, self.mistakes, self.images = name, mistakes, set[int]()
        self.engine = ""

    @property
    def reads(self) -> frozenset[str]:
        return frozenset({self.name})

    def update(
        self, results: Sequence[ImageResult], annotations: Sequence[Annotations], meta: Sequence[ImageMeta]
    ) -> None:
        self.images |= {one.image_id for one in meta}

    def state(self) -> dict[str, Any]:
        return {"images": self.images}

    def merge(self, states: Sequence[Mapping[str, Any]]) -> None:
        self.images = set().union(*(state["images"] for state in states))

    def compute(self) -> dict[str, float]:
        return {self.name: float(len(self.images))}

    def use_engine(self, engine: Engine) -> None:
        self.engine = engine

    def use_limit(self, most: int) -> None:
        self.limit = most

    def details(self, min_score: float) -> Details:
        matrix = Matrix(self.name, "down", "across", (), (), ())
        return Details((Table(self.name, (), ()),), (), (matrix,), self.mistakes)


def joint() -> tuple[JointEvaluator, list[Seen]]:
    parts = [Seen("a"), Seen("b", (Mistakes(4, 1, 0),)), Seen("c", (Mistakes(5, 1, 0),))]
    return JointEvaluator(parts), parts


def test_all_see_all_images_in_several_processes() -> None:
    (one, parts), (two, _) = joint(), joint()
    for evaluator, images in ((one, (1, 2)), (two, (2, 3))):
        metas = [ImageMeta.whole(4, 4, image) for image in images]
        evaluator.update([ImageResult.empty(meta, CATEGORIES) for meta in metas], [], metas)
    assert one.compute() == {"a": 2, "b": 2, "c": 2}
    one.merge([one.state(), two.state()])
    assert one.compute() == {"a": 3, "b": 3, "c": 3}
    one.use_engine("pycocotools")
    assert [part.engine for part in parts] == ["pycocotools"] * 3
    one.use_limit(300)
    assert [part.limit for part in parts] == [300] * 3
    assert one.reads == {"a", "b", "c"}


def test_details_are_those_of_all_and_mistakes_those_of_the_first_that_tells_some() -> None:
    told = joint()[0].details(0.3)
    assert [table.title for table in told.tables] == ["a", "b", "c"]
    assert [matrix.title for matrix in told.matrices] == ["a", "b", "c"]
    assert [one.image_id for one in told.mistakes] == [4]
