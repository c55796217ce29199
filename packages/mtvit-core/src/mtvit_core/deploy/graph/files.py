"""A captured model as a file: ONNX, OpenVINO's form, or torch's own."""

import re
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import torch

from mtvit_core.deploy.graph.capture import Captured
from mtvit_core.deploy.header import KEY, ExportHeader
from mtvit_core.errors import ConfigError
from mtvit_core.files import whole_file

#: What a model can be exported to.
Target = Literal["onnx", "openvino", "pt2"]
#: Ending of the file of each.
ENDINGS: dict[Target, str] = {"onnx": ".onnx", "openvino": ".xml", "pt2": ".pt2"}
#: Version of ONNX's operators: the first that has attention as one of them.
OPSET = 23
#: Operators that some of ONNX Runtime, OpenVINO and TensorRT run slowly, or not at all.
REFUSED = frozenset({"Loop", "If", "Scan", "NonZero", "NonMaxSuppression", "Unique", "Compress"})


def write(captured: Captured, target: Target, path: Path, opset: int = OPSET) -> None:
    """Write a graph with its header to a file, whole or not at all.

    Args:
        captured: The graph.
        target: Kind of the file.
        path: The file, with the ending of the target.
        opset: Version of ONNX's operators, from 20 up.

    Raises:
        ConfigError: the graph has an operator that a runtime lacks, or a package is not installed.
    """
    writers: dict[Target, Callable[[Captured, Path, int], None]]
    writers = {"onnx": _write_onnx, "openvino": _write_openvino, "pt2": _write_program}
    writers[target](captured, path, opset)


def _write_program(captured: Captured, path: Path, _: int) -> None:
    with whole_file(path) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(captured.program, partial, extra_files={KEY: captured.header.to_text()})


def onnx_program(captured: Captured, opset: int) -> Any:
    """Return the graph in ONNX, named and described.

    Args:
        captured: The graph.
        opset: Version of ONNX's operators.

    Raises:
        ConfigError: it has an operator that ONNX or a runtime lacks; the message names it, or the part of the
            model.
    """
    with warnings.catch_warnings(), torch.no_grad(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")  # the exporter tells what is to become of itself
        try:
            program: Any = torch.onnx.export(
                captured.program,
                dynamo=True,
                opset_version=opset,
                input_names=["images"],
                output_names=captured.header.names,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as cause:
            raise ConfigError(_untranslated(cause)) from cause
    _check_operators(program.model.graph)
    for node in program.model.graph:
        node.name = f"{_module(node)}/{node.name}"
        node.metadata_props.clear()  # the source lines that each comes from are half of a small file
    program.model.metadata_props[KEY] = captured.header.to_text()
    program.model.metadata_props["categories"] = ", ".join(
        category["name"] for category in captured.header.model["categories"]
    )
    program.model.producer_name, program.model.producer_version = "mtvit", captured.header.version
    return program


def _untranslated(cause: BaseException) -> str:
    found = re.search(r"No ONNX function found for <OpOverload\(op='([^']+)'", str(cause))
    what = f"its operation {found[1]}" if found else f"it ({str(cause).strip().splitlines()[0]:.200})"
    return (
        f"export: the model cannot be written as ONNX, which has no form of {what}; write it with other "
        "operations of torch, export the other tasks with --tasks, or take --to pt2."
    )


def _modules(node: Any) -> list[str]:
    """Names of the modules that an operator is of, the innermost last."""
    where = str(node.metadata_props.get("namespace", "")).split("/")
    return [part.partition(":")[0] for part in where[:-1]]


def _module(node: Any) -> str:
    return next((name for name in reversed(_modules(node)) if name), "model")


def _check_operators(graph: Any) -> None:
    for node in graph:
        if node.op_type in REFUSED or node.op_type.startswith("Sequence"):
            place = next((name for name in reversed(_modules(node)) if "tasks." in name), "the model")
            raise ConfigError(
                f"export: {place} is made of operators that become ONNX's {node.op_type}, which runtimes run "
                "slowly or not at all; write it without loops and without results of varying length, or "
                "export the other tasks with --tasks."
            )


def _write_onnx(captured: Captured, path: Path, opset: int) -> None:
    program = onnx_program(captured, opset)
    with whole_file(path) as partial:
        program.save(partial)


def _write_openvino(captured: Captured, path: Path, opset: int) -> None:
    between = path.with_name(f".{path.stem}.between.onnx")
    try:
        onnx_program(captured, opset).save(between)
        onnx_to_openvino(between, path, captured.header)
    finally:
        between.unlink(missing_ok=True)


def onnx_to_openvino(source: Path, path: Path, header: ExportHeader) -> None:
    """Turn an ONNX file into OpenVINO's form: an ``.xml`` file, and a ``.bin`` with the weights.

    Args:
        source: The ONNX file.
        path: The ``.xml`` file to write.
        header: What it is to say of itself; weights are stored in half precision where it says ``fp16``.
    """
    import openvino

    save_openvino(openvino.convert_model(source), path, header)


def save_openvino(model: Any, path: Path, header: ExportHeader) -> None:
    """Write a model of OpenVINO with its header; see ``onnx_to_openvino``."""
    import openvino

    model.set_rt_info(header.to_text(), ["model_info", KEY])
    openvino.save_model(model, path, compress_to_fp16=header.precision == "fp16")
