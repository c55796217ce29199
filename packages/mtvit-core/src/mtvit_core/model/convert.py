"""From a published checkpoint to a model: find its format, build, check every key, copy tensor by tensor."""

from collections.abc import Mapping
from pathlib import Path

import torch

from mtvit_core.arguments import as_path, require, require_size
from mtvit_core.backbones.mvt.released import heads_beside, is_released
from mtvit_core.errors import CheckpointError, ConfigError, making_sense_of
from mtvit_core.model.backbone import create_backbone
from mtvit_core.model.build import make_tasks
from mtvit_core.model.model_file import own_file
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.plugins.registry import published_formats
from mtvit_core.published.format import BASE, Blueprint, Choices, PublishedFormat
from mtvit_core.published.recipe import Shape
from mtvit_core.published.source import Source, Stored, open_source
from mtvit_core.state_dicts import check_depth, listed, shapes_of

#: How all keys of our models begin.
OWN = ("backbone.", "tasks.", "decoders.", "instance_group.")


def convert(
    source: str | Path,
    base: str | Path | None = None,
    dataset: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> MultiTaskViT:
    """Make a model of a published checkpoint.

    Args:
        source: A folder with ``config.json`` and safetensors, a hub id of one, or an official file.
        base: For a file of differences (EoMT on DINOv3): the weights that it differs from.
        dataset: For a model with experts for several data sets: the one to take.
        image_size: Rows and columns of the canvas, where not those of the source.

    Returns:
        The model on the CPU, in evaluation mode; an ordinary one, that trains and saves.

    Raises:
        CheckpointError: the source cannot be had or read, no installed plugin knows its kind, or its keys and
            shapes are not exactly those of its kind.
        ConfigError: an argument means nothing to this kind of source.
    """
    for argument, given in (("source", source), ("base", base)):
        if given is not None or argument == "source":
            as_path(f"convert: {argument}", given, CheckpointError)
    require("convert: dataset", dataset, (str, type(None)), "the name of a data set")
    if image_size is not None:
        require_size("convert: image_size", image_size)
    return read_published(source, base, dataset, image_size)[0]


def read_published(
    source: str | Path,
    base: str | Path | None = None,
    dataset: str | None = None,
    image_size: tuple[int, int] | None = None,
    name: str = "",
) -> tuple[MultiTaskViT, Source]:
    """Return what ``convert`` does, and the source as it was read, without what wrapped its keys.

    A source that was fetched already keeps the ``name`` that it was asked for by.
    """
    formats, where = published_formats(), name or str(source)
    allowed = [cls for format_ in formats for cls in format_.pickles]
    format_, found = recognise(open_source(source, allowed, name), formats)
    choices = Choices(None if base is None else open_source(base, allowed).unwrapped(), dataset, image_size)
    for choice in ("base", "dataset", "image_size"):
        if getattr(choices, choice) is not None and choice not in format_.takes:
            raise ConfigError(f"source {where}: {format_.name} does not use {choice}; leave it out.")
    with making_sense_of(f"source {where}: it", f"{format_.name} writes otherwise", CheckpointError):
        plan = format_.blueprint(found, choices)
    check_depth(plan.options, len(found.tensors), f"source {where}: its config.json")
    planned = shapes_of(lambda: build_model(plan))
    if planned:
        _check_fits(planned, plan, _tensors(found, choices.base), found, format_.name)
    return fill(build_model(plan), plan, found, format_.name, choices.base).eval(), found


def recognise(source: Source, formats: tuple[PublishedFormat, ...]) -> tuple[PublishedFormat, Source]:
    """Return the format of a source, and the source without what wraps all of its keys, where that fits.

    Raises:
        CheckpointError: no format fits.
    """
    for candidate in (source.unwrapped(), source):
        for format_ in formats:
            if format_.fits(candidate):
                return format_, candidate
    _check_foreign(source)
    _check_backbone_alone(source)
    kind = f"model_type {source.kind!r}" if source.kind else "no config.json"
    keys = ", ".join(sorted(source.tensors)[:3])
    known = "; ".join(format_.name for format_ in formats) or "none"
    raise CheckpointError(
        f"source {source.where}: no installed plugin knows its kind ({kind}, {len(source.tensors)} keys "
        f"as {keys}); known: {known}."
    )


def _check_foreign(source: Source) -> None:
    """Refuse what is no published checkpoint but a model of ours, or its weights alone."""
    names = [key.removeprefix("module.").removeprefix("_orig_mod.") for key in source.tensors]
    if not names or not all(name.startswith(OWN) for name in names):
        return
    if own_file(source.where) is not None:
        raise CheckpointError(
            f"source {source.where}: this is a model of mtvit already; load it with mtvit_core.load, there "
            "is nothing to convert."
        )
    raise CheckpointError(
        f"source {source.where}: these are weights of a model of mtvit, without what says how to build it; "
        "write the model with mtvit_core.save(model, ...), and load that file."
    )


def _check_backbone_alone(source: Source) -> None:
    """Refuse a file whose backbone is known here, and whose head is not."""
    if is_released(source.tensors):
        heads = " and ".join(heads_beside(source.tensors)) or "no head"
        raise CheckpointError(
            f"source {source.where}: this is a network of ViT-MVT with {heads}, and no task of mtvit has "
            "such a head; train one on its backbone: set model.backbone to mvt:tiny, mvt:small or mvt:base, "
            "and model.pretrained to this file."
        )


def build_model(plan: Blueprint) -> MultiTaskViT:
    """Build the model of a plan with fresh weights."""
    backbone = create_backbone(plan.backbone, plan.canvas, options=plan.options)
    tasks = make_tasks(plan.tasks, plan.categories)
    return MultiTaskViT(backbone, tasks, plan.categories, plan.person_canvas, plan.framing)


@torch.no_grad()
def fill(
    model: MultiTaskViT, plan: Blueprint, source: Source, name: str, base: Source | None = None
) -> MultiTaskViT:
    """Copy every weight, one at a time; nothing is copied unless all fit.

    Args:
        model: The model of the plan.
        plan: Its recipes.
        source: Where the tensors are.
        name: Name of the format, for messages.
        base: Where base weights are.

    Raises:
        CheckpointError: listing the keys that are missing, unexpected or of another shape.
    """
    own, tensors = model.state_dict(), _tensors(source, base)
    shapes = {key: tuple(value.shape) for key, value in own.items()}
    _check_fits(shapes, plan, tensors, source, name)
    for key, value in own.items():
        recipe = plan.recipes[key]
        value.copy_(recipe.make([tensors[part].read() for part in recipe.keys]).view(value.shape))
    return model


def _tensors(source: Source, base: Source | None) -> dict[str, Stored]:
    added = {} if base is None else {BASE + key: stored for key, stored in base.tensors.items()}
    return {**source.tensors, **added}


def _check_fits(
    own: Mapping[str, Shape], plan: Blueprint, tensors: Mapping[str, Stored], source: Source, name: str
) -> None:
    odd = sorted(own.keys() ^ plan.recipes.keys())
    if odd:
        raise CheckpointError(
            f"source {source.where}: its settings or its weights lack {odd[0]!r}, so it is no {name}."
        )
    problems = _misfits(own, plan, tensors)
    if problems:
        taken = f" (without {source.prefix!r} before each)" if source.prefix else ""
        raise CheckpointError(
            f"source {source.where}: its weights are not those of {name}: {problems}{taken}."
        )


def _misfits(own: Mapping[str, Shape], plan: Blueprint, tensors: Mapping[str, Stored]) -> str:
    expected: dict[str, Shape] = {}
    for key, recipe in plan.recipes.items():
        for part, shape in zip(recipe.keys, recipe.shapes(own[key]), strict=True):
            expected[part] = tuple(shape)
    shapes = [
        f"{key} is {tensors[key].shape} instead of {shape}"
        for key, shape in expected.items()
        if key in tensors and tensors[key].shape != shape
    ]
    missing = sorted(expected.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - expected.keys() - plan.ignored)
    return listed({"missing": missing, "unexpected": unexpected, "of another shape": shapes}, most=20)
