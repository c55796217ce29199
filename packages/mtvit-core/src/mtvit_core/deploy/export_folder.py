"""A model exported into a folder: the file, and the report that says whether it can be trusted."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.exported_file import REPORT
from mtvit_core.deploy.graph.capture import Captured, capture, with_canvas
from mtvit_core.deploy.graph.files import ENDINGS, OPSET, Target, write
from mtvit_core.deploy.header import Precision
from mtvit_core.deploy.quantise.choose import quantise
from mtvit_core.deploy.quantise.int8 import CALIBRATION
from mtvit_core.deploy.report.images import images_of
from mtvit_core.deploy.report.page import page
from mtvit_core.deploy.report.parity import MOST_LOST, Parity, parity
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.errors import ConfigError
from mtvit_core.files import write_text
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks.task import View

#: What each kind of file can be made of.
PRECISIONS: dict[Target, tuple[Precision, ...]] = {
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "fp16", "bf16", "int8"),
    "pt2": ("fp32",),
}
PAGE = "export.html"


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a model is exported.

    Attributes:
        target: Kind of the file.
        precision: Type of its products; ``fp16`` stores weights in half precision, and multiplies in single.
        batch: Images of every pass; None for any number.
        size: Rows and columns of the canvas; None for those of the model.
        letterbox: Whether the graph takes images of any size, and letterboxes them itself.
        raw: Whether predictions are told as they are, not what tasks find.
        opset: Version of ONNX's operators.
        images: Folder of images to compare with, and to calibrate on; None for generated ones.
        count: How many of them are compared.
        max_loss: AP that objects may lose; None for ``MOST_LOST`` of the precision.
    """

    target: Target = "onnx"
    precision: Precision = "fp32"
    batch: int | None = None
    size: tuple[int, int] | None = None
    letterbox: bool = False
    raw: bool = False
    opset: int = OPSET
    images: Path | None = None
    count: int = 8
    max_loss: float | None = None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: saying what does.
        """
        fits = PRECISIONS[self.target]
        if self.precision not in fits:
            raise ConfigError(
                f"export: --precision {self.precision} does not go with --to {self.target}, which takes "
                f"{', '.join(fits)}; OpenVINO takes all."
            )
        if self.letterbox and self.raw:
            raise ConfigError(
                "export: --letterbox does not go with --raw, whose predictions are of the canvas; give one."
            )
        if self.precision == "int8" and self.images is None:
            raise ConfigError(
                "export: int8 is calibrated on images as the model will see them; give a folder of 100 or "
                "more with --images."
            )


def the_view(model: MultiTaskViT) -> View:
    """Return the one view of a model.

    Raises:
        ConfigError: it has none, or two, for which one graph is not enough.
    """
    if len(model.views) == 1:
        return model.views[0]
    if not model.views:
        raise ConfigError("export: the model has no task; there is nothing to tell.")
    of = {view: ",".join(task.name for task in model.of_view(view)) for view in model.views}
    raise ConfigError(
        "export: some tasks see whole images and others crops of people, which makes two graphs; export one "
        f"with --tasks {of['image']}, the other with --tasks {of['person']}."
    )


def export_folder(model: MultiTaskViT, name: str, out: Path, options: ExportOptions) -> Path:
    """Export a model, compare the file with the model, and write the report beside it.

    Args:
        model: The model.
        name: What the report calls it.
        out: The folder, which exists.
        options: How.

    Returns:
        The exported file.

    Raises:
        ConfigError: the options do not go together, the model cannot be exported, or objects lose more than
            is allowed; the files are there then, too.
    """
    options.check()
    view = the_view(model)
    model = with_canvas(model, view, options.size)
    captured = capture(model, view, options.batch, options.raw, options.letterbox)
    captured = Captured(captured.program, replace(captured.header, precision=options.precision))
    file = out / f"model{ENDINGS[options.target]}"
    write(captured, options.target, file, options.opset)
    rows, columns = model.canvases[view]
    # Generated images are of about that size: of twice the canvas where resizing is part of the graph.
    images = images_of(
        options.images, options.count, (2 * rows, 2 * columns) if options.letterbox else (rows, columns)
    )
    way, limit = "", MOST_LOST[options.precision] if options.max_loss is None else options.max_loss
    if options.precision == "int8":
        shown = images_of(options.images, CALIBRATION, (rows, columns))
        way = quantise(file, captured.header, model, shown, limit)
    found = parity(model, ExportedModel(open_session(file)), file, images)
    _report(found, captured, name, file, options, found.failures(limit), len(images), way)
    if found.failures(limit):
        raise ConfigError(
            f"export {file}: {found.failures(limit)[0]}; {PAGE} beside it tells more. Take another "
            "--precision, or allow it with --max-loss."
        )
    return file


def _report(
    found: Parity,
    captured: Captured,
    name: str,
    file: Path,
    options: ExportOptions,
    failures: list[str],
    images: int,
    way: str,
) -> None:
    header = captured.header
    batch = "any" if header.batch[0] != header.batch[1] else header.batch[0]
    size = "H x W" if header.input == "image" else f"{header.canvas[0]} x {header.canvas[1]}"
    report = {
        "model": name,
        "file": file.name,
        "version": header.version,
        "input": f"images: uint8 {batch} x 3 x {size}",
        "outputs": header.names,
        **({"quantised": way} if way else {}),
        "images": images,
        "shown": "generated" if options.images is None else str(options.images),
        "failures": failures,
        "parity": found.to_json(),
    }
    write_text(file.parent / REPORT, json.dumps(report, indent=1) + "\n")
    write_text(file.parent / PAGE, page(report))
