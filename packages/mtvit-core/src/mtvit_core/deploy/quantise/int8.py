"""Post-training quantisation, by the recipe that keeps most.

OpenVINO's files are quantised by NNCF, with and without SmoothQuant (Xiao et al. 2023), which helps most ViTs
and harms some. ONNX's are by ONNX Runtime, whose products with weights become whole numbers: the range of the
other factor is measured in every pass, or calibrated on images.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from mtvit_core.deploy.graph.files import save_openvino
from mtvit_core.deploy.header import KEY, ExportHeader
from mtvit_core.errors import ConfigError

#: Most images that are looked at: more change little (NNCF's default).
CALIBRATION = 300
Canvases = Sequence[UInt8[ndarray, "1 3 H W"]]
#: From a file to another, told what it is to say of itself, images, and products that stay as they are.
Way = Callable[[Path, Path, ExportHeader, Canvases, Sequence[str]], None]


def recipes(target_suffix: str) -> dict[str, Way]:
    """Return the ways to quantise a file, by name.

    Args:
        target_suffix: Ending of the file.

    Raises:
        ConfigError: what quantises it is not installed.
    """
    if target_suffix == ".xml":
        return {"smooth": _nncf(True), "plain": _nncf(False)}
    return {"measured": _measured, "calibrated": _calibrated}


def _nncf(smooth: bool) -> Way:
    def quantise(
        source: Path, target: Path, header: ExportHeader, canvases: Canvases, kept: Sequence[str]
    ) -> None:
        os.environ.setdefault("NNCF_CI", "1")  # before the import: it would tell its maker of its use
        try:
            import nncf
            import openvino
        except ImportError:
            raise ConfigError("int8: NNCF does it; install it with `pip install mtvit-core[int8]`.") from None
        advanced = nncf.AdvancedQuantizationParameters()
        if not smooth:
            advanced.smooth_quant_alphas = nncf.AdvancedSmoothQuantParameters(matmul=-1, convolution=-1)
        quantised = nncf.quantize(
            openvino.Core().read_model(source),
            nncf.Dataset(canvases),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=len(canvases),
            advanced_parameters=advanced,
            ignored_scope=nncf.IgnoredScope(names=list(kept)),
        )
        save_openvino(quantised, target, header)

    return quantise


class _Reader:
    """Canvases as ONNX Runtime's calibration asks for them."""

    def __init__(self, canvases: Canvases) -> None:
        self._left: Iterator[ndarray] = iter(canvases)

    def get_next(self) -> dict[str, ndarray] | None:
        """Return the next input, or None at the end."""
        canvas = next(self._left, None)
        return None if canvas is None else {"images": np.ascontiguousarray(canvas)}


#: What becomes whole numbers in ONNX files, by products with weights alone.
_PRODUCTS, _CONSTANT = ["MatMul", "Gemm"], {"MatMulConstBOnly": True}


def _measured(source: Path, target: Path, header: ExportHeader, _: Canvases, kept: Sequence[str]) -> None:
    from onnxruntime import quantization

    with _prepared(source) as plain:
        quantization.quantize_dynamic(
            str(plain),
            str(target),
            op_types_to_quantize=_PRODUCTS,
            nodes_to_exclude=list(kept),
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            extra_options=_CONSTANT,
        )
    _describe(target, header)


def _calibrated(
    source: Path, target: Path, header: ExportHeader, canvases: Canvases, kept: Sequence[str]
) -> None:
    from onnxruntime import quantization

    with _prepared(source) as plain:
        quantization.quantize_static(
            str(plain),
            str(target),
            _Reader(canvases),
            op_types_to_quantize=[*_PRODUCTS, "Conv"],
            nodes_to_exclude=list(kept),
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            extra_options=_CONSTANT,
        )
    _describe(target, header)


@contextmanager
def _prepared(source: Path) -> Iterator[Path]:
    """The graph as ONNX Runtime wants it before quantising: constants folded, shapes told."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain = source.with_name(f".{source.stem}.plain{source.suffix}")
    try:
        # Symbolic shapes would need another package, and newer operators are unknown to it.
        quant_pre_process(source, plain, skip_symbolic_shape=True)
        yield plain
    finally:
        plain.unlink(missing_ok=True)


def _describe(target: Path, header: ExportHeader) -> None:
    import onnx

    model: Any = onnx.load(target)
    told = {prop.key: prop.value for prop in model.metadata_props}
    onnx.helper.set_model_props(model, {**told, KEY: header.to_text()})
    onnx.save(model, target)
