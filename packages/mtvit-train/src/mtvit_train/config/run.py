"""Settings of a run: TOML tables with a default for everything, kept resolved beside the results."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from mtvit_core.config import apply_set, read_toml, validate
from mtvit_core.errors import ConfigError, did_you_mean
from mtvit_core.plugins.registry import installed_tasks
from mtvit_train.config.caching import CacheConfig
from mtvit_train.config.distillation import DistillConfig
from mtvit_train.config.evaluation import EvaluationConfig
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.config.sharing import SharingConfig
from mtvit_train.config.supernet import SupernetConfig
from mtvit_train.data.formats.coco import CocoConfig
from mtvit_train.data.merging.categories import Merge
from mtvit_train.data.merging.stated_keypoints import KeypointsConfig
from mtvit_train.data.merging.table import DataTable, read_tables
from mtvit_train.data.samples.augment import AugmentConfig

Size = tuple[PositiveInt, PositiveInt]
Share = Field(ge=0, le=1)
#: What becomes of the heads of a model to start from.
Heads = Literal["keep", "by-name", "fresh"]


class Table(BaseModel):
    """Base of the tables: unknown keys are errors, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelConfig(Table):
    """``[model]``.

    Attributes:
        backbone: timm's name of a plain ViT, or a hub id.
        options: Arguments of the timm model, such as ``depth`` or ``patch_size``.
        pretrained: false: random weights; true: timm's published weights; ``"scenes"``: the small backbone
            that ships with this package; any other text: a local file of weights in timm's keys.
        image_size: Rows and columns of the canvas; multiples of the patch.
        patches: Patches of a canvas that takes the shape of the training images, at most; 0: the canvas is
            ``image_size``.
        person_size: Rows and columns of person crops, for top-down tasks.
        queries: ``task``: each task has its own queries. ``instance``: tasks that can share one group, whose
            queries are one object each for all of them.
        start: A model to start from, which brings all of the above: a file of mtvit, or what
            ``mtvit_core.load`` takes. Empty: none.
        heads: What becomes of its heads. ``keep``: they stay, and so do its categories. ``by-name``: the
            categories are those of the data; columns of names that the model knows stay, others are fresh.
            ``fresh``: all heads are as in a new model, only the backbone stays.
        genome: A network of the supernet that ``backbone`` or ``start`` names, as ``192: 3x4 3x3.5 0 4x4``:
            it is trained alone, as an ordinary model. Empty: the supernet itself.
    """

    backbone: str = "vit_small_patch16_224"
    options: dict[str, bool | int | float | str | list[int] | list[float]] = {}
    pretrained: bool | str = False
    image_size: Size = (640, 640)
    patches: int = Field(0, ge=0)
    person_size: Size = (256, 192)
    queries: Literal["task", "instance"] = "task"
    start: str = ""
    heads: Heads = "keep"
    genome: str = ""


class ScenesConfig(Table):
    """``[scenes]``, used where the data are generated.

    Attributes:
        train: Training images.
        val: Validation images.
        size: Side in pixels.
        seed: Number of the generator's stream.
    """

    train: PositiveInt = 2000
    val: PositiveInt = 200
    size: PositiveInt = 128
    seed: int = 0


class TrainConfig(Table):
    """``[train]``.

    Attributes:
        steps: Updates of the weights; 0: as many as ``epochs`` make.
        epochs: Passes through the training images, where ``steps`` is 0; few images are seen more often, see
            ``fitted_steps``.
        batch_size: Images per update, of all processes together.
        parallel: How several processes share the work: ``ddp``, each holds all weights, or ``fsdp``, each
            holds a part of them.
        accumulate: Passes in which each process goes through its images of an update, to save memory.
        optimizer: ``adamw``, or ``muon``: Muon for the matrices of blocks and of hidden layers of heads,
            AdamW for the rest.
        lr: Peak learning rate of heads and tokens, AdamW.
        matrix_lr: The same for the matrices that Muon updates.
        backbone_lr: Factor on the rate for the backbone; 0 freezes it.
        frozen_blocks: How many of the first blocks are frozen, and the embedding with them.
        layer_decay: Factor on the rate from each block to the one below.
        weight_decay: Decay of weight matrices; biases, norms, positions and tokens have none.
        beta2: Second moment's decay of AdamW.
        warmup: Steps of linear rise.
        final_lr: Share of the peak left at the end of the cosine.
        clip: Largest gradient norm.
        ema: Decay of the averaged weights that are evaluated and saved; 0 switches the average off.
        ema_start: Least decay in the first steps, in which it rises to ``ema``.
        precision: Type that the backbone and Muon multiply in; ``auto`` takes bfloat16 where that is faster,
            see ``compute_type``.
        checkpointing: Recompute blocks in the backward pass to save memory.
        compile: Let torch compile the blocks for training.
        weighting: How the losses of tasks are weighed: ``fixed``, ``uncertainty``, ``gradnorm``, or a scheme
            that a plugin brings.
        task_weights: Factor on the losses of a task, by name; 1 where absent; read by ``fixed``.
        workers: Loader processes; 0 loads in the main process.
        cache_mb: Decoded images kept in memory, in MiB, per loading process.
        threads: CPU threads of torch; 0: as many as the process may use, see ``usable_cores``.
        seed: Number of the run: initial weights, order, augmentation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        log_every: Steps between records of the losses.
        evaluate_every: Steps between evaluations; 0 evaluates at the end only.
        patience: Evaluations in a row that are no better than the best one, after which the run ends; the
            best weights are kept, not the last. 0: it never ends early, and keeps the last ones.
        eval_batch_size: Images per pass in evaluation; 0 takes as many as a pass of training.
        checkpoint_every: Steps between checkpoints of the whole state; 0 writes them only where the run is
            stopped and at its end.
        keep_checkpoints: Checkpoints that are kept, the newest ones.
    """

    steps: int = Field(10_000, ge=0)
    epochs: float = Field(12.0, gt=0)
    batch_size: PositiveInt = 16
    parallel: Literal["ddp", "fsdp"] = "ddp"
    accumulate: PositiveInt = 1
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(2e-4, gt=0)
    matrix_lr: float = Field(0.01, gt=0)
    backbone_lr: float = Field(1.0, ge=0)
    frozen_blocks: int = Field(0, ge=0)
    layer_decay: float = Field(0.8, gt=0, le=1)
    weight_decay: float = Field(0.05, ge=0)
    beta2: float = Field(0.98, gt=0, lt=1)
    warmup: int = Field(100, ge=0)
    final_lr: float = Field(0.01, ge=0, le=1)
    clip: float = Field(1.0, gt=0)
    ema: float = Field(0.998, ge=0, lt=1)
    ema_start: float = Field(0.0, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpointing: bool = False
    compile: bool = False
    weighting: str = "fixed"
    task_weights: dict[str, float] = {}
    workers: int = Field(0, ge=0)
    cache_mb: int = Field(512, ge=0)
    threads: int = Field(0, ge=0)
    seed: int = Field(0, ge=0)
    device: str = "auto"
    log_every: PositiveInt = 20
    evaluate_every: int = Field(0, ge=0)
    patience: int = Field(0, ge=0)
    eval_batch_size: int = Field(0, ge=0)

    def images_per_pass(self, world: int) -> int:
        """Return how many images each of ``world`` processes evaluates at a time."""
        return self.eval_batch_size or max(1, self.batch_size // (world * self.accumulate))

    checkpoint_every: int = Field(500, ge=0)
    keep_checkpoints: PositiveInt = 2


class RunConfig(Table):
    """A whole run.

    Attributes:
        plugins: Tasks to train; every installed one where empty.
        data: ``scenes``, a data folder or the file that describes it, or several data sets.
        merge: What makes categories of several data sets the same: ``id`` (and name), or ``name``.
        reader: What reads the folder: ``coco``, which finds other layouts by their files; the form of a tool,
            ``ultralytics``, ``yolo``, ``darknet``, ``voc`` or ``mpii``; or a reader that a plugin brings.
        out: Run folder; must not hold anything yet.
        model: Backbone and sizes.
        coco: Names of folders and files below ``data``.
        keypoints: What is stated of the keypoints of a category, by its name.
        scenes: The generated data.
        augment: Random changes of training images.
        train: Optimisation.
        evaluation: How results are scored.
        records: What is recorded beside ``metrics.jsonl``.
        distill: A teacher to learn from.
        supernet: How a supernet is trained.
        cache: What frozen blocks say of images, kept in files.
        sharing: How gates are learned that decide which layers tasks share.
        tasks: Settings of each task, by name; see the task's own documentation.
        readers: Settings of plugins' readers, by name.
        transforms: Transforms of plugins to apply to training samples, in this order, and their settings.
        weightings: Settings of weightings, by name.
    """

    plugins: tuple[str, ...] = ()
    data: str | tuple[DataTable, ...] = "scenes"
    merge: Merge = "id"
    reader: str = "coco"
    out: str = "runs/mtvit"
    model: ModelConfig = ModelConfig()
    coco: CocoConfig = CocoConfig()
    keypoints: dict[str, KeypointsConfig] = {}
    scenes: ScenesConfig = ScenesConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    records: RecordsConfig = RecordsConfig()
    distill: DistillConfig = DistillConfig()
    supernet: SupernetConfig = SupernetConfig()
    cache: CacheConfig = CacheConfig()
    sharing: SharingConfig = SharingConfig()
    tasks: dict[str, dict[str, Any]] = {}
    readers: dict[str, dict[str, Any]] = {}
    transforms: dict[str, dict[str, Any]] = {}
    weightings: dict[str, dict[str, Any]] = {}


def recipes() -> dict[str, Path]:
    """Recipe files that ship with the trainer, by name."""
    folder = Path(str(files("mtvit_train") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def read_run(
    config: str | None,
    overrides: dict[str, Any],
    assignments: tuple[str, ...],
    base: Mapping[str, Any] | None = None,
    over: Mapping[str, Any] | None = None,
) -> RunConfig:
    """Resolve the settings: defaults, the file, tables over it, options of the command, ``--set``.

    Args:
        config: A TOML file, or the name of a recipe that ships with the trainer; None for defaults.
        overrides: Options of the command by setting, None where not given.
        assignments: ``--set`` values.
        base: Settings to use in the place of defaults.
        over: Tables to lay over those of the file.

    Raises:
        ConfigError: the file is missing or malformed, or a setting is unknown or does not fit.
    """
    settings = read_toml(find_settings(config, recipes())) if config else {}
    if config in recipes():  # which serve any choice of tasks, whether or not all of them are installed
        settings = {**settings, "tasks": _of_installed(settings.get("tasks", {}))}
    settings = resolved(_over(settings, over or {}), overrides, assignments, base)
    if isinstance(settings.get("data"), list):
        settings["data"] = read_tables(settings["data"])
    return validate(RunConfig, settings)


def resolved(
    settings: Mapping[str, Any],
    overrides: Mapping[str, Any],
    assignments: tuple[str, ...],
    base: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Lay the settings of a file, options of the command and ``--set`` over each other."""
    given = {key: value for key, value in overrides.items() if value is not None}
    steps = given.pop("steps", None)
    own = [f"train.steps={steps}"] if steps else []
    return apply_set({**_over(base or {}, settings), **given}, [*own, *assignments])


def _of_installed(tables: dict[str, Any]) -> dict[str, Any]:
    return {name: table for name, table in tables.items() if name in installed_tasks()}


def _over(base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lay tables over others; what they do not hold stays."""
    inner = {
        key: _over(base[key], value)
        for key, value in settings.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **settings, **inner}


def find_settings(config: str, known: Mapping[str, Path]) -> Path:
    """Return the settings file that an option names: a file, or one of the known recipes.

    Raises:
        ConfigError: it is neither.
    """
    if config in known:
        return known[config]
    if not Path(config).is_file() and not config.endswith(".toml"):
        raise ConfigError(
            f"config {config!r}: neither a file nor a recipe.{did_you_mean(config, known)} "
            f"Recipes: {', '.join(known) or 'none'}."
        )
    return Path(config)
