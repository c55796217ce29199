"""Settings of a pre-training: the same tables as a run has, and those of the methods."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from mtvit_core.config import read_toml, validate
from mtvit_train.config.recording import RecordsConfig
from mtvit_train.config.run import (
    ModelConfig,
    ScenesConfig,
    Table,
    TrainConfig,
    find_settings,
    resolved,
)
from mtvit_train.data.samples.augment import AugmentConfig

Method = Literal["distill", "dino", "mae", "figures"]


class CropsConfig(Table):
    """``[crops]``: how crops of images are drawn.

    Attributes:
        scale: Least and largest area of a large crop, as a share of the image.
        small: Small crops of each image; only ``dino`` has any.
        small_size: Their side in pixels; 0 takes the multiple of the patch next to 0.43 of the canvas.
        small_scale: Their area.
        hflip: Probability of mirroring.
        colour: Probability of changing the colours; ``mae`` never does.
        grey: Probability of leaving out the colours.
        blur: Probability of blurring.
    """

    scale: tuple[float, float] = (0.25, 1.0)
    small: int = Field(6, ge=0)
    small_size: int = Field(0, ge=0)
    small_scale: tuple[float, float] = (0.05, 0.32)
    hflip: float = Field(0.5, ge=0, le=1)
    colour: float = Field(0.8, ge=0, le=1)
    grey: float = Field(0.2, ge=0, le=1)
    blur: float = Field(0.3, ge=0, le=1)


class TeacherConfig(Table):
    """``[distill]``: a published backbone whose features are learned.

    Attributes:
        teacher: timm's name of a plain ViT, a hub id, or that of another family.
        pretrained: As ``model.pretrained``: true for published weights, or a local file.
        options: As ``model.options``.
        image_size: Rows and columns that the teacher is shown; 0, 0 takes those of the student, rounded to
            its patch.
        mixup: Whether images are mixed in pairs, the same way for both.
        summary: Weight of the loss on whole images.
        patches: Weight of the loss on patches.
    """

    teacher: str = "vit_small_patch14_reg4_dinov2.lvd142m"
    pretrained: bool | str = True
    options: dict[str, bool | int | float | str | list[int]] = Field(default_factory=dict)
    image_size: tuple[int, int] = (0, 0)
    mixup: bool = True
    summary: float = Field(1.0, ge=0)
    patches: float = Field(1.0, ge=0)


class DinoConfig(Table):
    """``[dino]``: self-distillation.

    Attributes:
        prototypes: Outputs K of the head.
        hidden: Width of its hidden layers.
        bottleneck: Width before the prototypes.
        student_temperature: Of the student's softmax.
        teacher_temperature: Of the teacher's.
        centring: What keeps prototypes in use: ``centre`` subtracts a moving average, for small batches;
            ``sinkhorn`` balances each batch.
        mask: Largest share of the patches that is hidden from the student; 0 switches this loss off.
        koleo: Weight of what spreads whole images over the sphere.
    """

    prototypes: PositiveInt = 1024
    hidden: PositiveInt = 1024
    bottleneck: PositiveInt = 256
    student_temperature: float = Field(0.1, gt=0)
    teacher_temperature: float = Field(0.04, gt=0)
    centring: Literal["centre", "sinkhorn"] = "centre"
    mask: float = Field(0.5, ge=0, lt=1)
    koleo: float = Field(0.1, ge=0)


class MaeConfig(Table):
    """``[mae]``: masked autoencoding.

    Attributes:
        ratio: Share of the patches that is hidden.
        width: Width of the decoder.
        depth: Its blocks.
        heads: Its attention heads.
    """

    ratio: float = Field(0.75, gt=0, lt=1)
    width: PositiveInt = 128
    depth: PositiveInt = 2
    heads: PositiveInt = 4


class ProbeConfig(Table):
    """``[probe]``: what frozen features are worth, measured every ``train.evaluate_every`` updates.

    Attributes:
        data: A folder in COCO's layout, whose labels are asked for; empty: only what needs no labels.
        images: Most images of each split.
        neighbours: Nearest images that vote.
        pictures: Images of which pictures are drawn.
        steps: Updates of heads that are trained at the end on ``data``, once from the weights before the
            pre-training and once from those after it; 0: none.
        heads: Their tasks.
        config: Recipe or TOML file of these two runs, as ``mtvit-train --config`` takes it; empty: defaults.
    """

    data: str = ""
    images: PositiveInt = 2000
    neighbours: PositiveInt = 10
    pictures: int = Field(4, ge=0)
    steps: int = Field(0, ge=0)
    heads: tuple[str, ...] = Field(("det",), min_length=1)
    config: str = ""

    @model_validator(mode="after")
    def _labelled(self) -> "ProbeConfig":
        if self.steps and not self.data:
            raise ValueError(
                f"steps is {self.steps}, but heads need labels: name a data set with data, or leave steps out"
            )
        return self


class PretrainTrainConfig(TrainConfig):
    """``[train]`` of a pre-training, with other defaults."""

    steps: PositiveInt = 5000
    batch_size: PositiveInt = 32
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(5e-4, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    weight_decay: float = Field(0.04, ge=0)
    ema: float = Field(0.996, ge=0, lt=1)
    clip: float = Field(3.0, gt=0)
    warmup: int = Field(200, ge=0)


class PretrainConfig(BaseModel):
    """A whole pre-training.

    Attributes:
        data: ``scenes``, or folders of images in any layout.
        method: What is learned.
        out: Run folder; must not hold anything yet.
        model: Backbone and canvas; ``pretrained`` is where it starts.
        scenes: The generated images.
        crops: How crops are drawn.
        train: Optimisation.
        distill: Settings of a method, as those that follow.
        dino: The same.
        mae: The same.
        probe: What is measured on the way.
        records: What is recorded beside ``metrics.jsonl``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: tuple[str, ...] = ("scenes",)
    method: Method = "distill"
    out: str = "runs/pretrain"
    model: ModelConfig = ModelConfig(image_size=(224, 224))
    scenes: ScenesConfig = ScenesConfig()
    crops: CropsConfig = CropsConfig()
    train: PretrainTrainConfig = PretrainTrainConfig()
    distill: TeacherConfig = TeacherConfig()
    dino: DinoConfig = DinoConfig()
    mae: MaeConfig = MaeConfig()
    probe: ProbeConfig = ProbeConfig()
    records: RecordsConfig = RecordsConfig()


#: Changes of colour of crops (DINOv2).
COLOURS = AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)


def read_pretrain(
    config: str | None,
    overrides: Mapping[str, Any],
    assignments: tuple[str, ...],
    base: Mapping[str, Any] | None = None,
) -> PretrainConfig:
    """Resolve the settings, as ``read_run`` does.

    Raises:
        ConfigError: the file is missing or malformed, or a setting is unknown or does not fit.
    """
    folder = Path(str(files("mtvit_train") / "recipes" / "pretrain"))
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    settings = read_toml(find_settings(config, known)) if config else {}
    return validate(PretrainConfig, resolved(settings, overrides, assignments, base))
