"""What happens between the updates of a training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mtvit_train.engine.meter import Report


@dataclass(frozen=True)
class Course:
    """What a trainer tells and asks between updates.

    Attributes:
        report: Told the losses every ``log_every`` steps and at the end.
        evaluate: Called every ``evaluate_every`` steps and at the end, with the number of updates made.
        save: Called every ``checkpoint_every`` steps, at the end, and where the run is stopped, between two
            steps; an evaluation that is due comes after it.
        keep: As ``replay.keep``: given a step that cannot be made, it returns a sentence for the error.
        ended: Asked after every evaluation, whether training ends there.
        timed: Told once what an update takes, in seconds, after the second one.
    """

    report: Callable[[Report], None] = lambda report: None
    evaluate: Callable[[int], None] = lambda step: None
    save: Callable[[], None] = lambda: None
    keep: Callable[[dict[str, Any]], str] = lambda state: ""
    ended: Callable[[], bool] = lambda: False
    timed: Callable[[float], None] = lambda seconds: None
