"""The class that authors of tasks subclass."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mtvit_core.plugins.registry import tasks as installed
from mtvit_core.structures.categories import Categories
from mtvit_core.tasks.task import Task
from mtvit_core.testing.base_suite import BaseSuite
from mtvit_core.testing.case import Case
from mtvit_core.testing.checks import (
    batch_shares,
    batches,
    decoding,
    files_and_export,
    isolation,
    labels,
    learning,
    results,
    settings,
    shapes,
    shared_queries,
    unannotated,
)
from mtvit_core.testing.example import CATEGORIES, Example, draw_examples


class TaskSuite(BaseSuite):
    """All checks of the task contract, as tests of pytest.

    A subclass whose name begins with ``Test`` is collected:

        class TestPresence(TaskSuite):
            task = "presence"

    Attributes:
        task: Name of an installed task, or its class.
        settings: Its settings, as under ``[tasks.<name>]``; few queries keep the tests fast.
        categories: Classes of the examples.
        best: Metrics that perfect predictions reach, and the values they reach.
        steps: Updates of the training check.
        lr: Learning rate of the training check.
        exceptions: See ``BaseSuite``.
    """

    task: ClassVar[str | type[Task[Any, Any, Any]]]
    settings: ClassVar[Mapping[str, Any]] = {}
    categories: ClassVar[Categories] = CATEGORIES
    best: ClassVar[Mapping[str, float]] = {"AP": 1.0}
    steps: ClassVar[int] = 20
    lr: ClassVar[float] = 1e-3

    def examples(self) -> tuple[Example, ...]:
        """Return the images and their truth; a task with other kinds of label overrides it."""
        return draw_examples()

    def case(self) -> Case:
        """Return what the checks are given."""
        cls = installed([self.task])[self.task] if isinstance(self.task, str) else self.task
        return Case(cls, self.settings, self.categories, self.examples, self.best, self.steps, self.lr)

    def hold(self, check: Callable[[Case], None]) -> None:
        """Run one check; fail with its contract, what was found and how to fix it."""
        case = self.case()
        self.run_check(f"task {case.cls.name!r}", case, check)

    def test_declaration(self) -> None:
        """See ``mtvit_core.testing.checks.shapes.declaration``."""
        self.hold(shapes.declaration)

    def test_shapes(self) -> None:
        """See ``mtvit_core.testing.checks.shapes.shapes``."""
        self.hold(shapes.shapes)

    def test_loss_terms(self) -> None:
        """See ``mtvit_core.testing.checks.shapes.loss_terms``."""
        self.hold(shapes.loss_terms)

    def test_results(self) -> None:
        """See ``mtvit_core.testing.checks.results.results``."""
        self.hold(results.results)

    def test_batch_of_one(self) -> None:
        """See ``mtvit_core.testing.checks.batches.batch_of_one``."""
        self.hold(batches.batch_of_one)

    def test_batch_split(self) -> None:
        """See ``mtvit_core.testing.checks.batches.batch_split``."""
        self.hold(batches.batch_split)

    def test_loss_scale(self) -> None:
        """See ``mtvit_core.testing.checks.batches.loss_scale``."""
        self.hold(batches.loss_scale)

    def test_loss_shares(self) -> None:
        """See ``mtvit_core.testing.checks.batch_shares.loss_shares``."""
        self.hold(batch_shares.loss_shares)

    def test_no_objects(self) -> None:
        """See ``mtvit_core.testing.checks.labels.no_objects``."""
        self.hold(labels.no_objects)

    def test_absent_labels(self) -> None:
        """See ``mtvit_core.testing.checks.labels.absent_labels``."""
        self.hold(labels.absent_labels)

    def test_unannotated(self) -> None:
        """See ``mtvit_core.testing.checks.unannotated.unannotated``."""
        self.hold(unannotated.unannotated)

    def test_perfect_predictions(self) -> None:
        """See ``mtvit_core.testing.checks.decoding.perfect_predictions``."""
        self.hold(decoding.perfect_predictions)

    def test_flips(self) -> None:
        """See ``mtvit_core.testing.checks.decoding.flips``."""
        self.hold(decoding.flips)

    def test_evaluator_merge(self) -> None:
        """See ``mtvit_core.testing.checks.batch_shares.evaluator_merge``."""
        self.hold(batch_shares.evaluator_merge)

    def test_state_dict(self) -> None:
        """See ``mtvit_core.testing.checks.files_and_export.state_dict``."""
        self.hold(files_and_export.state_dict)

    def test_shared_queries(self) -> None:
        """See ``mtvit_core.testing.checks.shared_queries.shared_queries``."""
        self.hold(shared_queries.shared_queries)

    def test_exporting(self) -> None:
        """See ``mtvit_core.testing.checks.files_and_export.exporting``."""
        self.hold(files_and_export.exporting)

    def test_training(self) -> None:
        """See ``mtvit_core.testing.checks.learning.training``."""
        self.hold(learning.training)

    def test_config_errors(self) -> None:
        """See ``mtvit_core.testing.checks.settings.config_errors``."""
        self.hold(settings.config_errors)

    def test_isolation(self) -> None:
        """See ``mtvit_core.testing.checks.isolation.isolation``."""
        self.hold(isolation.isolation)
