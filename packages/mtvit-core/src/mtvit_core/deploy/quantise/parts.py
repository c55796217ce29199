"""Parts of a model that quantising may harm most, by the names of a graph's products."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

#: Modules of one part in the names of products, as ``model.backbone.vit.blocks.0.attn.qkv/MatMul_3``.
_PART = re.compile(r"\b(tasks\.\w+|decoders|blocks\.\d+)\b")


def parts_of(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Return products by part: the first block and the last, shared decoders, and what is of each task.

    Between them, blocks add small corrections to the same tokens, which rounding harms least.

    Args:
        names: Names of products.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        if match := _PART.search(name.partition("/")[0]):
            found.setdefault(match[1], []).append(name)
    blocks = sorted((part for part in found if part.startswith("blocks.")), key=lambda part: int(part[7:]))
    for part in blocks[1:-1]:
        del found[part]
    return {part: tuple(own) for part, own in found.items()}


def products_of(file: Path) -> list[str]:
    """Return the names of the products in a file of ONNX or OpenVINO."""
    if file.suffix == ".xml":
        import openvino

        operators = openvino.Core().read_model(file).get_ops()
        return [op.get_friendly_name() for op in operators if op.get_type_name() == "MatMul"]
    import onnx

    nodes = onnx.load(file, load_external_data=False).graph.node
    return [node.name for node in nodes if node.op_type in ("MatMul", "Gemm")]
