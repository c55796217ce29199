"""Settings of a search: what it reads, where it writes, and how it looks for the best candidate."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from mtvit_core.config import read_toml, validate
from mtvit_train.config.evaluation import EvaluationConfig
from mtvit_train.config.run import RunConfig, ScenesConfig, Table, find_settings, resolved
from mtvit_train.data.formats.coco import CocoConfig
from mtvit_train.data.merging.categories import Merge
from mtvit_train.data.merging.stated_keypoints import KeypointsConfig
from mtvit_train.data.merging.table import DataTable, read_tables


class SearchTable(Table):
    """``[search]``; population, parents, mutation and crossover are those of AutoFormer (Chen et al. 2021).

    Attributes:
        objective: ``fitness``: the fittest breed. ``front``: those that no other beats in fitness, parameters
            and time at once breed (NSGA-II, Deb et al. 2002).
        population: Candidates of a generation.
        generations: How many, the first of which is drawn.
        parents: The fittest so far, which breed; with ``front``, as many as ``population`` do.
        mutants: Candidates of a generation that are a parent with some genes drawn anew.
        crossovers: Those that have each gene of one of two parents; the rest is drawn.
        tries: Attempts for each candidate; one outside the limits or seen before fails.
        mutate_block: Probability that heads or ratio of a block are drawn anew.
        mutate_whole: The same of width and depth.
        random: Also score as many candidates that are drawn and nothing else.
        seed: Number of the stream of all that is drawn.
        min_parameters: Weights of the model with its heads, at least.
        max_parameters: At most; 0: any number.
        max_ms: Milliseconds of a pass of one image, at most; 0: any time.
        latency: ``table``: from a few measured candidates, see ``table``. ``measure``: each candidate is
            timed. ``none``: no time is told.
        table: File ``latency.json`` of another search, perhaps on another machine; empty: measured here.
        passes: Passes that are timed, the median counts.
        pass_threads: Threads of a timed pass; 0: as many as there are cores.
        singles: What each task reaches alone, by task; those not named: what the largest candidate reaches.
        metrics: Metric of a task that counts, by task; with a ``-`` before it, the lower the better. Where
            none is named: AP, PQ, mIoU, mAP or top1.
        split: Split that candidates are scored on. The supernet has learned from ``train``.
        images: Images of it, drawn; 0: all.
        unseen: Further images of it, on which the best are scored at the end; 0: none.
        batch_size: Images of a pass when candidates are scored.
        calibration: Batches of training images that batch norms of a candidate are calibrated on.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        processes: Processes that score candidates; 0: one for each core, or one on a GPU. The results are
            those of one.
        threads: Threads of each of them.
    """

    objective: Literal["fitness", "front"] = "fitness"
    population: PositiveInt = 50
    generations: PositiveInt = 20
    parents: PositiveInt = 10
    mutants: int = Field(25, ge=0)
    crossovers: int = Field(25, ge=0)
    tries: PositiveInt = 10
    mutate_block: float = Field(0.2, ge=0, le=1)
    mutate_whole: float = Field(0.4, ge=0, le=1)
    random: bool = False
    seed: int = Field(0, ge=0)
    min_parameters: int = Field(0, ge=0)
    max_parameters: int = Field(0, ge=0)
    max_ms: float = Field(0.0, ge=0)
    latency: Literal["table", "measure", "none"] = "table"
    table: str = ""
    passes: PositiveInt = 20
    pass_threads: int = Field(0, ge=0)
    singles: dict[str, PositiveFloat] = Field(default_factory=dict)
    metrics: dict[str, str] = Field(default_factory=dict)
    split: Literal["val", "train"] = "val"
    images: int = Field(200, ge=0)
    unseen: int = Field(200, ge=0)
    batch_size: PositiveInt = 25
    calibration: PositiveInt = 16
    device: str = "auto"
    processes: int = Field(0, ge=0)
    threads: PositiveInt = 1

    @model_validator(mode="after")
    def check(self) -> "SearchTable":
        """Check what belongs together.

        Raises:
            ValueError: more are bred than a generation has, limits leave nothing, or a time is limited that
                nothing tells.
        """
        if self.mutants + self.crossovers > self.population:
            raise ValueError(
                f"mutants {self.mutants} and crossovers {self.crossovers} are more than the population of "
                f"{self.population}; take fewer, or a larger population"
            )
        if 0 < self.max_parameters < self.min_parameters:
            raise ValueError(
                f"max_parameters {self.max_parameters} is below min_parameters {self.min_parameters}; "
                "exchange them"
            )
        if self.latency == "none" and (self.max_ms or self.table):
            raise ValueError(
                'latency is "none", but max_ms or table is set; leave these out, or take "table" or "measure"'
            )
        if self.latency == "measure" and self.table:
            raise ValueError('latency is "measure", so that table would do nothing; take latency = "table"')
        return self


class SearchConfig(BaseModel):
    """A whole search.

    Attributes:
        supernet: File of a trained model whose backbone is elastic.
        sha256: Checksum of that file; the search fills it in, and refuses another file.
        data: As in a run: ``scenes``, a data folder, or several data sets.
        merge: As in a run.
        reader: As in a run.
        out: Folder of the search; must not hold anything yet.
        coco: As in a run.
        keypoints: As in a run.
        scenes: As in a run.
        evaluation: How results are scored.
        readers: As in a run.
        search: How the best candidate is looked for.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    supernet: str
    sha256: str = ""
    data: str | tuple[DataTable, ...] = "scenes"
    merge: Merge = "id"
    reader: str = "coco"
    out: str = "runs/search"
    coco: CocoConfig = CocoConfig()
    keypoints: dict[str, KeypointsConfig] = {}
    scenes: ScenesConfig = ScenesConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    readers: dict[str, dict[str, Any]] = {}
    search: SearchTable = SearchTable()

    def as_run(self, tasks: tuple[str, ...]) -> RunConfig:
        """Return settings of a run that reads and scores the same.

        Args:
            tasks: Names of the tasks of the supernet.
        """
        names = ("data", "merge", "reader", "out", "coco", "keypoints", "scenes", "evaluation", "readers")
        return RunConfig(plugins=tasks, **{name: getattr(self, name) for name in names})


def read_search(
    config: str | None,
    overrides: Mapping[str, Any],
    assignments: tuple[str, ...],
    base: Mapping[str, Any] | None = None,
) -> SearchConfig:
    """Resolve the settings, as ``read_run`` does.

    Raises:
        ConfigError: the file is missing or malformed, or a setting is unknown or does not fit.
    """
    settings = read_toml(find_settings(config, {})) if config else {}
    settings = resolved(settings, overrides, assignments, base)
    if isinstance(settings.get("data"), list):
        settings["data"] = read_tables(settings["data"])
    return validate(SearchConfig, settings)
