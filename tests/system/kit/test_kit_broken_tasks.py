"""Every check of the kit can fail: on a task that is broken in one place, with a message in words."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from mtvit_core.testing import TaskSuite
from mtvit_det.task import Detection
from support import broken_tasks as broken

CHECKS = [name.removeprefix("test_") for name in vars(TaskSuite) if name.startswith("test_")]
MERGE = "AP is … by one evaluator, … by two that were merged"

#: Check, task, and what is found; … stands for numbers and the like.
BROKEN: tuple[tuple[str, type[Detection], str], ...] = (
    (
        "declaration",
        broken.OtherVersion,
        "OtherVersion.api is 99, but this mtvit-core knows contract version 1",
    ),
    (
        "shapes",
        broken.SwappedAxes,
        "predictions.logits is float32 of shape (8, 4, 3), but declared as "
        "Float[Tensor, 'B Q C'], where B = 4",
    ),
    ("shapes", broken.LoosePredictions, "predictions is a LooseScores, a dataclass that can be changed"),
    ("shapes", broken.BarePredictions, "predictions.logits is a tensor, but no shape is declared for it"),
    ("shapes", broken.ListedCounts, "DetTargets.counts is [2, 2, 3, 3] for 4 images"),
    (
        "shapes",
        broken.Denying,
        "task 'det': its head reads the patches of the output, but its `reads_patches` says that it does "
        "not; return True there, or read the queries alone.",
    ),
    ("loss_terms", broken.ConstantLoss, "loss term 'class' is a constant … that no weight can lower"),
    ("loss_terms", broken.LoggedLoss, "loss term 'giou' is -inf"),
    ("results", broken.Logits, "task 'det': decode gave an object with the score …"),
    ("results", broken.Ids, "the result of image 0 has the label …; there are 3 categories"),
    ("results", broken.Sizes, "the result of image 0, 192 x 128 pixels, has the box …, …, …, …"),
    (
        "results",
        broken.Anonymous,
        "the result of image 0 has height, width, image_id and file_name (128, 192, 0, 'example 1'), "
        "its meta says (128, 192, 1, 'example 1')",
    ),
    (
        "batch_of_one",
        broken.Squeezed,
        "predicting a batch of one image raised ValueError: not enough values to unpack (expected 3, got 2)",
    ),
    (
        "batch_split",
        broken.BatchNormed,
        "predictions.logits of image 0 differs by … between a batch of several images and a batch of its own",
    ),
    (
        "batch_split",
        broken.LargestBox,
        "targets.boxes of image 0 differs by … between a batch of several images and a batch of its own",
    ),
    ("loss_scale", broken.Summed, "loss term 'class' is …, and … for the batch with every image twice"),
    (
        "loss_shares",
        broken.CountsAlone,
        "loss term 'class' of 4 images is …, and … as the mean over 4 shares",
    ),
    (
        "loss_shares",
        broken.CountsSometimes,
        "the loss of 4 images as 4 shares raised PluginError: loss: shared_count was called … times in one "
        "pass of a batch and 0 times in another; call it before any return or branch that depends on what a "
        "batch holds.",
    ),
    (
        "no_objects",
        broken.MeanOfNone,
        "a batch without objects gives 'l1' a loss or gradient that is not finite",
    ),
    (
        "no_objects",
        broken.Counted,
        "targets.labelled is [False, …] for a batch without objects; `has` says [True, …]",
    ),
    ("absent_labels", broken.AllLabelled, "loss term 'class' is … for images without boxes"),
    (
        "absent_labels",
        broken.Untied,
        "the gradient of the loss of images without boxes raised RuntimeError: element 0 of tensors does not "
        "require grad and does not have a grad_fn",
    ),
    (
        "absent_labels",
        broken.Diluted,
        "loss term 'class' of labelled images is …, but … when images without boxes are in the batch",
    ),
    ("absent_labels", broken.CountsAll, "images is 4, and 8 with images without boxes added"),
    (
        "unannotated",
        broken.Closed,
        "finding 'crate' costs a loss of 5 in images where nobody annotated it, and of 5 in images without "
        "any",
    ),
    (
        "unannotated",
        broken.ClosedMetrics,
        "AP is … where 'crate' is found in an image in which nobody annotated it, and 1 where it is not",
    ),
    ("perfect_predictions", broken.Unscaled, "perfect predictions of 4 images have AP = 0, the best is 1"),
    ("perfect_predictions", broken.Content, "AP is as good, 1, when every image has the result of another"),
    (
        "perfect_predictions",
        broken.Silent,
        "Silent.perfect returned None, so nothing can be said of targets, decoding and evaluation",
    ),
    ("flips", broken.Shifted, "boxes of image 0 are 4 pixels off where the mirrored image should have them"),
    ("evaluator_merge", broken.Averaging, MERGE),
    ("evaluator_merge", broken.Local, "pickling the state of an evaluator raised AttributeError: …"),
    (
        "state_dict",
        broken.Forgetful,
        "predictions.logits differs by … after the weights were loaded into a model of another seed",
    ),
    ("state_dict", broken.Shy, "the setting 'seed' is 3, but after a round trip through JSON 0"),
    (
        "shared_queries",
        broken.Misplaced,
        "loss term 'class' changes from … to … with the order of the annotations, …",
    ),
    (
        "shared_queries",
        broken.Doubled,
        "loss term 'class' is … with the queries of the group and … with the task's own, of the same weights",
    ),
    ("shared_queries", broken.Secretive, "a result has … objects and tells 0 queries"),
    (
        "shared_queries",
        broken.Particular,
        "predictions.logits is another with the queries of the group 'instance' than with the task's own, of "
        "the same weights",
    ),
    *(
        (
            "shared_queries",
            task,
            "told that no query is anything, the task still finds objects of a score of …, or says something "
            "else than it was told",
        )
        for task in (broken.Deaf, broken.Stubborn)
    ),
    (
        "shared_queries",
        broken.Wordy,
        "query_objects of 4 images and 3 categories have logits (4, 8, 4) and boxes (4, 8, 4)",
    ),
    ("exporting", broken.Deciding, "torch.export raised GuardOnDataDependentSymNode: …"),
    ("exporting", broken.Counting, "det/logits differs by … in the exported program"),
    ("training", broken.Constant, "20 updates on 4 images led the loss from … to …, and is to take 20% away"),
    ("training", broken.Idle, "no loss term reaches tasks.det.head.idle.weight"),
    ("config_errors", broken.Open, "OpenConfig took the unknown setting 'no_such_setting'"),
    ("config_errors", broken.Untyped, "AnyConfig.mood takes a value of any type"),
    ("config_errors", broken.Soft, "SoftConfig can be changed after loading"),
    ("isolation", broken.Curious, "predictions.logits changes by … beside another task, in evaluation"),
    (
        "isolation",
        broken.Rude,
        "task 'det': its head changed the features 'patches' in place, which other tasks read; "
        "work on a copy.",
    ),
    (
        "isolation",
        broken.Meddling,
        "predictions.queries changes by 1 as 'det' joins the model, although it is another task's",
    ),
)


def suite_of(task: type[Detection], exceptions: Mapping[str, str] | None = None) -> TaskSuite:
    """A suite as an author would write it."""
    settings: dict[str, Any] = {"queries": 8, **({"seed": 3} if task is broken.Shy else {})}

    class Suite(TaskSuite):
        pass

    Suite.task, Suite.settings = task, settings
    Suite.exceptions = exceptions or {}
    return Suite()


def failure_of(suite: TaskSuite, check: str) -> str:
    """What pytest shows of a check that fails."""
    with pytest.raises(pytest.fail.Exception) as caught:
        getattr(suite, f"test_{check}")()
    return str(caught.value)


@pytest.mark.parametrize(
    ("check", "task", "found"), BROKEN, ids=[f"{check}-{task.__name__}" for check, task, _ in BROKEN]
)
def test_a_broken_task_fails(check: str, task: type[Detection], found: str) -> None:
    lines = failure_of(suite_of(task), check).splitlines()
    assert lines[0] == f"task 'det' fails the check {check!r}"
    assert re.fullmatch("  contract: .{40,}", lines[1])
    assert re.fullmatch("  found:    " + ".+".join(map(re.escape, found.split("…"))), lines[2]), lines[2]
    assert re.fullmatch("  to fix:   .{10,}", lines[3])
    assert len(lines) == 4


def test_every_check_has_its_broken_task() -> None:
    assert {check for check, _, _ in BROKEN} == set(CHECKS)


def test_a_declared_exception_is_an_expected_failure() -> None:
    suite = suite_of(broken.Shifted, {"flips": "the pixel grid begins at 1"})
    with pytest.raises(pytest.xfail.Exception, match="the pixel grid begins at 1"):
        suite.test_flips()


def test_an_exception_that_is_not_needed_is_refused() -> None:
    suite = suite_of(Detection, {"declaration": "so it was once"})
    assert failure_of(suite, "declaration").splitlines() == [
        "task 'det' passes the check 'declaration'",
        "  contract: Suite.exceptions says that it cannot: so it was once",
        "  to fix:   take 'declaration' out of the exceptions",
    ]


def test_exceptions_name_checks_and_give_reasons() -> None:
    with pytest.raises(TypeError, match=r"names 'flip', which is no check\. Did you mean 'flips'\?"):

        class Misspelt(TaskSuite):
            exceptions = {"flip": "why not"}

    with pytest.raises(TypeError, match="gives no reason for 'flips'; say why"):

        class Unexplained(TaskSuite):
            exceptions = {"flips": " "}


def test_what_a_task_raises_unasked_keeps_its_traceback() -> None:
    class Raising(Detection):
        def decode(self, predictions: Any, meta: Any) -> Any:
            raise ZeroDivisionError("once more")

    with pytest.raises(ZeroDivisionError, match="once more") as caught:
        suite_of(Raising).test_results()
    (note,) = caught.value.__notes__
    assert note.startswith("in the check 'results' of task 'det': Decoding gives one result per image")
