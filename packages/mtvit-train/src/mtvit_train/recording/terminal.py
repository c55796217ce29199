"""What a run shows on the terminal: a progress bar with losses, rate and time left, and tables of metrics."""

import math
from collections.abc import Mapping
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mtvit_train.config.run import RunConfig
from mtvit_train.engine.meter import Report

#: Metrics that each evaluation prints on its line.
MAIN = ("AP", "AP50", "PQ", "mIoU")
#: Metrics in the table, in this order; the rest is in metrics.json.
SHOWN = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR")

#: Pixels of a canvas that a CPU trains on in minutes.
MODEST = 256 * 256


class Display:
    """The progress of a run; plain lines where the output is not a terminal."""

    def __init__(self, console: Console, steps: int) -> None:
        """Prepare the bar.

        Args:
            console: Where to write.
            steps: Updates of the run.
        """
        self.console, self.steps = console, steps
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[text]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
        )
        self.bar = self.progress.add_task("training", total=steps, text="")

    def __enter__(self) -> "Display":
        """Show the bar."""
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self.progress.stop()

    def losses(self, report: Report) -> None:
        """Show the sum of each task's losses and the throughput."""
        tasks: dict[str, float] = {}
        for name, value in report.losses.items():
            if "/" in name:
                tasks[name.split("/")[0]] = tasks.get(name.split("/")[0], 0.0) + value
        text = "  ".join(f"{task} {value:.2f}" for task, value in tasks.items())
        text = f"{text}  lr {report.lr:.1e}  {report.pace.images_per_s:.0f} img/s"
        self.progress.update(self.bar, completed=report.step, text=text)
        if not self.console.is_terminal:
            self.console.print(f"step {report.step}/{self.steps}  {text}", highlight=False, soft_wrap=True)

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Print the main metrics of every task on a line."""
        shown = [f"{name} {value:.3f}" for name, value in metrics.items() if name.split("/")[1] in MAIN]
        self.console.print(f"step {step}: " + "  ".join(shown), highlight=False, soft_wrap=True)

    def cost(self, config: RunConfig, seconds: float, left: float) -> None:
        """Say how long a run takes.

        Args:
            config: Settings of the run.
            seconds: What an update takes.
            left: Seconds to the end of the run.
        """
        (rows, columns), hint = config.model.image_size, " For small data, --config small takes minutes."
        costly = rows * columns > MODEST
        self.console.print(
            f"{config.train.steps} updates of {config.train.batch_size} images at {rows} x {columns} take "
            f"about {left / 3600:.1f} hours on this CPU ({seconds:.1f} s each)." + (hint if costly else ""),
            highlight=False,
            soft_wrap=True,
        )

    def ended(self, step: int, since: int) -> None:
        """Say that the run ends before its last step."""
        self.console.print(
            f"step {step}: no better for {since} evaluations; training ends, and the best weights are kept.",
            highlight=False,
            soft_wrap=True,
        )


def metrics_table(metrics: Mapping[str, float]) -> Table:
    """Lay out the metrics, a row per task, a dash where nothing was labelled; below, further ones."""
    tasks: dict[str, dict[str, str]] = {}
    for name, value in metrics.items():
        task, metric = name.split("/")
        tasks.setdefault(task, {})[metric] = "-" if math.isnan(value) else f"{value:.3f}"
    table, others = Table("task", *SHOWN, caption_justify="left"), []
    for task, own in tasks.items():
        if own.keys() & set(SHOWN):
            table.add_row(task, *(own.get(metric, "-") for metric in SHOWN))
        other = ", ".join(f"{metric} {value}" for metric, value in own.items() if metric not in SHOWN)
        others += [f"{task}: {other}"] if other else []
    table.caption = "\n".join(others) or None
    return table
