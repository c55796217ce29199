"""``mtvit export``: a model as one file for ONNX Runtime, OpenVINO or torch, and a report on it."""

from pathlib import Path

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError


def read_batch(_: click.Context, __: click.Parameter, text: str) -> int | None:
    """Return a number of images, or None for any.

    Raises:
        click.BadParameter: it is neither.
    """
    if text == "dynamic":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise click.BadParameter(f"{text!r} is neither a number from 1 up nor dynamic.")


@click.command("export", short_help="Export a model for ONNX Runtime, OpenVINO or torch.")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for model and report.")
@click.option(
    "--to",
    "target",
    default="onnx",
    show_default=True,
    type=click.Choice(["onnx", "openvino", "pt2"]),
    help="Kind of file.",
)
@click.option(
    "--precision",
    default="fp32",
    show_default=True,
    type=click.Choice(["fp32", "fp16", "bf16", "int8"]),
    help="fp16 (OpenVINO) halves the file; bf16 (OpenVINO) and int8 are faster.",
)
@click.option(
    "--batch", default="dynamic", show_default=True, callback=read_batch, help="Images of a pass, or dynamic."
)
@click.option("--size", nargs=2, type=click.IntRange(min=1), help="Rows and columns of the canvas.")
@click.option(
    "--letterbox", is_flag=True, help="Take images of any size: resize and pad inside; boxes in their pixels."
)
@click.option("--tasks", help="Tasks to export, comma-separated.  [default: all of the model]")
@click.option(
    "--set", "assignments", multiple=True, metavar="TASK.A=VALUE", help="Change a setting of a task."
)
@click.option("--raw", is_flag=True, help="Export the predictions as they are, without decoding.")
@click.option("--opset", default=23, show_default=True, type=click.IntRange(20, 24), help="ONNX's operators.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Images to compare on, and to calibrate int8.  [default: generated]",
)
@click.option(
    "--count", default=8, show_default=True, type=click.IntRange(min=1), help="Images that are compared."
)
@click.option("--max-loss", type=click.FloatRange(0, 1), help="AP against the model that may be lost.")
@verbose_option
def export_command(
    model: Path,
    out: Path,
    target: str,
    precision: str,
    batch: int | None,
    size: tuple[int, int] | None,
    letterbox: bool,
    tasks: str | None,
    assignments: tuple[str, ...],
    raw: bool,
    opset: int,
    images: Path | None,
    count: int,
    max_loss: float | None,
) -> None:
    """Export MODEL into the folder --out: model.onnx, model.xml or model.pt2, export.json and export.html.

    The file takes letterboxed images, or with --letterbox images of any size, as uint8, and tells boxes,
    scores, labels, masks and keypoints by name. It is run at once, and compared with MODEL; where it finds
    other objects, the command fails.
    """
    if out.exists():
        raise ConfigError(f"out {out}: already exists; give another folder with --out.")
    if images is not None and not images.is_dir():
        raise ConfigError(f"images {images}: no such folder; check the path, or leave --images out.")
    from mtvit_core.cli.image_tree import writable
    from mtvit_core.config import apply_set
    from mtvit_core.deploy.export_folder import ExportOptions, export_folder
    from mtvit_core.model.checkpoint import load

    options = ExportOptions(
        target=target,  # type: ignore[arg-type]  # click has checked it
        precision=precision,  # type: ignore[arg-type]  # the same
        batch=batch,
        size=size,
        letterbox=letterbox,
        raw=raw,
        opset=opset,
        images=images,
        count=count,
        max_loss=max_loss,
    )
    options.check()
    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    loaded = load(model, names, apply_set({}, assignments))
    with writable(out):
        file = export_folder(loaded, str(model), out, options)
    _report(file)


def _report(file: Path) -> None:
    import json

    from mtvit_core.deploy.exported_file import REPORT

    told = json.loads((file.parent / REPORT).read_text(encoding="utf-8"))
    found = told["parity"]
    for task in found["tasks"]:
        click.echo(
            f"{task['task']}: {task['found']} of {task['objects']} objects found too, AP {task['ap']:.3f}, "
            f"scores within {task['score']:.1g}, boxes within {task['box']:.1g} pixels."
        )
    torch_ms, own_ms = found["torch_ms"]["p50"], found["export_ms"]["p50"]
    click.echo(
        f"{file}: {found['megabytes']:.1f} MB, {own_ms:.0f} ms an image by {found['runtime']} (torch "
        f"{torch_ms:.0f} ms). The report is export.html beside it."
    )
