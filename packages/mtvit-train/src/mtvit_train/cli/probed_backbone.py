"""What ``mtvit evaluate --knn --linear`` measures: a backbone by its name, or that of a model file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mtvit_core.backbones.interface import Backbone
    from mtvit_train.config.run import ModelConfig
    from mtvit_train.probing.image_classes import Method


def refuse_unused(options: Mapping[str, Any]) -> None:
    """Refuse options that do not concern a backbone, None where they are not given.

    Raises:
        ConfigError: one is given.
    """
    from mtvit_core.errors import ConfigError

    for name, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{name} does not go with --knn and --linear, which score a backbone on the validation "
                "split; leave it out."
            )


def methods_of(knn: bool, linear: bool) -> list["Method"]:
    """Return what is asked for."""
    methods: list[Method] = ["knn"] if knn else []
    return [*methods, "linear"] if linear else methods


def tell_scores(scores: Mapping[str, float], out: Path | None) -> None:
    """Print a line for each method, and write JSON where a file is given."""
    from mtvit_train.recording.records import write_json

    for method in dict.fromkeys(name.partition("/")[0] for name in scores):
        own = [(name.partition("/"), value) for name, value in scores.items()]
        pairs = [f"{metric} {value:.3f}" for (of, _, metric), value in own if of == method]
        click.echo(f"{method}: {', '.join(pairs)}")
    if out is not None:
        write_json(out, scores)


def scores_of_backbone(
    model: Path,
    data: Path,
    config: str | None,
    assignments: tuple[str, ...],
    weights: Path | None,
    methods: Sequence["Method"],
    neighbours: int,
    batch_size: int,
    device: str,
) -> dict[str, float]:
    """Return the metrics of a backbone on the classes of whole images.

    Args:
        model: A model file or folder, or the name of a backbone.
        data: Data folder; its training split teaches, its validation split is asked.
        config: Settings file, or None.
        assignments: Settings ``A.B=VALUE``: how data are read, and the ``model`` table of a named backbone.
        weights: Weights of a named backbone; None: the published ones, unless settings say otherwise.
        methods: What reads the features.
        neighbours: Images that vote.
        batch_size: Images per pass.
        device: Where the backbone runs.

    Raises:
        ConfigError: the model has no backbone to ask, or a setting does not fit.
        DataError: a file is missing or malformed, or no whole image is labelled.
    """
    from mtvit_core.device import pick_device
    from mtvit_core.errors import ConfigError
    from mtvit_core.structures.annotations import IMAGE_LABELS
    from mtvit_train.build.data import read_split
    from mtvit_train.config.run import read_run
    from mtvit_train.data.merging.categories import first_difference
    from mtvit_train.probing.image_classes import image_features, probe_classes
    from mtvit_train.probing.labelled import SPLITS

    base: dict[str, Any] = {"model": {"pretrained": True if weights is None else str(weights)}}
    run = read_run(config, {"data": str(data)}, assignments, base)
    splits = [read_split(run, data, split, needs={IMAGE_LABELS}) for split in SPLITS]
    difference = first_difference(*(split.categories for split in splits))
    if difference:
        raise ConfigError(f"data {data}: {difference}")
    backbone = _backbone(model, run.model, weights).to(pick_device(device))
    train, val = (image_features(backbone, split, batch_size) for split in splits)
    return probe_classes(train, val, methods, neighbours)


def _backbone(model: Path, table: "ModelConfig", weights: Path | None) -> "Backbone":
    from mtvit_core.deploy.exported_file import exported_file
    from mtvit_core.deploy.load import load
    from mtvit_core.errors import ConfigError
    from mtvit_core.model.backbone import create_backbone
    from mtvit_core.model.multitask_vit import MultiTaskViT
    from mtvit_train.build.model import weights_of

    if exported_file(model) is not None:
        raise ConfigError(f"{model}: an exported model has no backbone of its own; give the checkpoint.")
    if model.exists() or model.suffix == ".safetensors":
        if weights is not None:
            raise ConfigError(f"--weights: {model} has weights; leave the option out, or name a backbone.")
        loaded = load(model)
        assert isinstance(loaded, MultiTaskViT)
        return loaded.backbone
    return create_backbone(str(model), table.image_size, weights_of(table), table.options)
