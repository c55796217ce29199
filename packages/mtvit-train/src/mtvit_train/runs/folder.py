"""The folder of a run: its settings, records, checkpoints and pictures."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image
from pydantic import BaseModel
from safetensors.torch import save_file

from mtvit_core.backbones.interface import GRID, Backbone
from mtvit_core.config import validate
from mtvit_core.errors import ConfigError
from mtvit_core.evaluation.details import Details
from mtvit_core.files import whole_file
from mtvit_core.model import checkpoint
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.sharing.shares import settled
from mtvit_core.structures.categories import Categories
from mtvit_train.build.data import prepare_data
from mtvit_train.build.label_counts import Exposure
from mtvit_train.build.splits import DataSplit
from mtvit_train.config.pretraining import PretrainConfig
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.config.run import RunConfig
from mtvit_train.distributed.ranks import Ranks
from mtvit_train.engine import replay
from mtvit_train.engine.evaluate import Evaluation
from mtvit_train.recording.gallery import FEATURES, Exhibit, save_gallery
from mtvit_train.recording.records import Records, read_details, write_details, write_json
from mtvit_train.recording.trackers import Tell, open_writers
from mtvit_train.report.page import write_report
from mtvit_train.report.pictures import draw_labels, draw_predictions, draw_worst
from mtvit_train.state import run_files
from mtvit_train.state.atomic_folder import writing
from mtvit_train.state.checkpoints import Checkpoints

#: Settings of a run, or of a pre-training.
AnyConfig = RunConfig | PretrainConfig
Config = TypeVar("Config", bound=BaseModel)


class RunFolder:
    """All that a run leaves; its first process writes, and of states and diverged steps each its own part.

    Attributes:
        path: Where it is.
        ranks: The processes of the run.
        records: Losses and metrics over the steps.
        checkpoints: States to go on from.
    """

    def __init__(self, config: AnyConfig, tell: Tell, ranks: Ranks) -> None:
        """Name the folder; it is made by ``settle``.

        Args:
            config: Settings of the run: where the folder is, and how many checkpoints it keeps.
            tell: Shows a line to the user.
            ranks: The processes of the run.
        """
        self.path, self._tell, self.ranks = Path(config.out), tell, ranks
        self.records = Records(self.path)
        self.checkpoints = Checkpoints(self.path, config.train.keep_checkpoints, tell, ranks)

    def file(self, name: str) -> Path:
        """Return the place of a file, by its name in ``run_files``."""
        return self.path / name

    # At the start

    def check_free(self) -> None:
        """Check that a run may use the folder.

        Raises:
            ConfigError: it holds something already; nothing is ever overwritten.
        """
        check_free(self.path)

    def settle(self, config: AnyConfig) -> None:
        """Write the settings of the run into the folder, which is made if it is not there.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        write_settings(self.path, config)

    def prepare_data(self, config: RunConfig, check: Callable[[], None]) -> Path:
        """Return where the data are; generated scenes are made in this folder, where they are not.

        Args:
            config: Settings of the run.
            check: Called after each scene.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            return prepare_data(config, self.path, check)

    def describe_data(
        self, train: DataSplit, model: MultiTaskViT, seen: Sequence[Exposure], notes: Sequence[str]
    ) -> None:
        """Draw labels as the model sees them, and write what each task sees of the data.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            draw_labels(train, model, self.file(run_files.LABELS))
            write_json(self.file(run_files.DATA), {"seen": [asdict(one) for one in seen], "notes": notes})

    def open_trackers(self, config: AnyConfig, step: int) -> None:
        """Let TensorBoard and the like be told what is recorded, as far as the settings ask for them.

        Args:
            config: Settings of the run.
            step: Updates made so far.
        """
        settings = config.model_dump(mode="json")
        self.records.writers = tuple(open_writers(config.records, self.path, settings, self._tell, step))

    # While it trains

    def record(self, step: int, values: Mapping[str, float]) -> None:
        """Record the losses of some steps.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            self.records.add("train", step, values)

    def keep_evaluation(
        self, model: MultiTaskViT, step: int, found: Evaluation, *, keep: bool = True
    ) -> None:
        """Record an evaluation, and save the model with what the evaluation tells.

        Args:
            model: What was evaluated; gates that are learned are saved as they were.
            step: Updates made so far.
            found: What the evaluation tells.
            keep: False: an earlier model was better and stays; the metrics are recorded alone.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            if keep:
                checkpoint.save(settled(model), self.file(run_files.MODEL), {"step": step})
                write_details(self.file(run_files.DETAILS), found.details)
                write_json(self.file(run_files.METRICS), {"step": step, **found.metrics})
            self.records.add("eval", step, found.metrics)  # last: it says that the evaluation is complete

    def keep_backbone(
        self,
        backbone: Backbone,
        step: int,
        found: Evaluation,
        pictures: Sequence[tuple[Image.Image, ...]],
    ) -> None:
        """Save a backbone that was measured, with what the measurement tells and shows.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            weights = {name: value.detach().cpu().contiguous() for name, value in backbone.weights().items()}
            grid = {GRID: " ".join(map(str, backbone.spec.grid))}
            with whole_file(self.file(run_files.BACKBONE)) as partial:
                save_file(weights, partial, metadata=grid)
            write_details(self.file(run_files.DETAILS), found.details)
            write_json(self.file(run_files.METRICS), {"step": step, **found.metrics})
            if pictures:
                name = f"{FEATURES}{step:08d}"
                save_gallery(self.path, name, [Exhibit(f"update {step}", shown) for shown in pictures])
            self.records.add("eval", step, found.metrics)  # last: it says that the measurement is complete

    def keep_heads(self, found: Mapping[str, Mapping[str, float]], told: Details) -> None:
        """Write the metrics of heads that were trained before and after, and show them on the page.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            write_json(self.file(run_files.HEADS).with_suffix(".json"), found)
            details = self.file(run_files.DETAILS)
            write_details(details, {**read_details(details), "heads": told})

    def measured(self) -> bool:
        """Tell whether anything was measured or scored."""
        return self.file(run_files.METRICS).is_file()

    def report(self) -> None:
        """Write the page that shows it all.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            write_report(self.path)

    def keep_checkpoint(self, step: int, state: Mapping[str, Any]) -> None:
        """Save a state to go on from; where the disk refuses, the user is told, and older ones stay."""
        self.records.flush()
        self.checkpoints.save(step, state)

    def keep_diverged(self, state: Mapping[str, Any], config: RunConfig, categories: Categories) -> str:
        """Keep a step that cannot be made; return a sentence that says how to see it again."""
        ranks, name = self.ranks, run_files.DIVERGED
        folder = self.file(name if ranks.leads else f"{name}-{ranks.rank}")
        return replay.keep(folder, state, config, categories, ranks)

    # At the end

    def draw(self, model: MultiTaskViT, val: DataSplit, shown: RecordsConfig) -> None:
        """Draw predictions, the worst images, and the page that shows it all.

        Args:
            model: The weights that were evaluated.
            val: Validation data.
            shown: How much is shown.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            draw_predictions(model, val, self.file(run_files.PREDICTIONS), min_score=shown.min_score)
            details = read_details(self.file(run_files.DETAILS))
            draw_worst(model, val, details, self.file(run_files.WORST), shown.worst, shown.min_score)
            write_report(self.path)

    def finish(self, step: int) -> None:
        """Say that the run has ended; nothing is written after it.

        Raises:
            DiskError: the disk is full, or refuses.
        """
        with writing(self.path):
            write_json(self.file(run_files.FINISHED), {"step": step})

    def begun(self) -> bool:
        """Tell whether there is a run to resume."""
        return self.file(run_files.SETTINGS).is_file()

    def finished(self) -> bool:
        """Tell whether the run has ended."""
        return self.file(run_files.FINISHED).is_file()

    def metrics(self) -> dict[str, float]:
        """Return the metrics of the model that was kept; those that are null in the file are NaN."""
        found = json.loads(self.file(run_files.METRICS).read_text(encoding="utf-8"))
        del found["step"]
        return {name: math.nan if value is None else value for name, value in found.items()}


def check_free(out: Path) -> None:
    """Check that a run may use a folder.

    Raises:
        ConfigError: it holds something already; nothing is ever overwritten.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise ConfigError(
            f"out {out}: not empty; runs are never overwritten. Give another folder with --out."
        )


def write_settings(out: Path, config: BaseModel) -> None:
    """Write settings into a folder, which is made if it is not there.

    Raises:
        DiskError: the disk is full, or refuses.
    """
    out.mkdir(parents=True, exist_ok=True)
    with writing(out):
        write_json(out / run_files.SETTINGS, config.model_dump(mode="json"))


def read_settings(out: Path, kind: type[Config]) -> Config:
    """Read the settings of the run, the pre-training or the search in a folder.

    Raises:
        ConfigError: there is none, or they are damaged.
    """
    path = out / run_files.SETTINGS
    if not path.is_file():
        raise ConfigError(
            f"resume {out}: holds no run, since it has no config.json; start one without --resume."
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise ConfigError(f"resume {out}: config.json is damaged ({cause}); restore it.") from None
    return validate(kind, settings)
