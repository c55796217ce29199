"""Files of a graph: names, sizes that may vary, and no operator that runtimes stumble over."""

import onnx
import pytest
import torch

from mtvit_core.deploy.graph.capture import Captured
from mtvit_core.deploy.graph.files import REFUSED, write
from mtvit_core.errors import ConfigError


def test_an_onnx_file_has_names_any_batch_and_no_loops(exported):
    model = onnx.load(exported.files[".onnx"])
    (image,) = model.graph.input
    sizes = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, sizes[1:]) == ("images", [3, 32, 48])
    assert isinstance(sizes[0], str)  # a name: any number of images
    assert [out.name for out in model.graph.output] == exported.captured.header.names
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & REFUSED
    assert "Attention" in kinds
    props = {prop.key: prop.value for prop in model.metadata_props}
    assert props["categories"].startswith("person, bicycle, car")
    assert not any(node.metadata_props for node in model.graph.node)  # no lines of source files


class Sorting(torch.nn.Module):
    """Does what ONNX has no form of."""

    def forward(self, images):
        return images.flatten(1).float().sort(dim=1, stable=True).values


def test_operations_without_a_form_in_onnx_are_named(exported, tmp_path):
    program = torch.export.export(Sorting(), (torch.zeros(2, 3, 4, 4),))
    with pytest.raises(ConfigError) as error:
        write(Captured(program, exported.captured.header), "onnx", tmp_path / "model.onnx")
    assert str(error.value) == (
        "export: the model cannot be written as ONNX, which has no form of its operation aten.sort; write it "
        "with other operations of torch, export the other tasks with --tasks, or take --to pt2."
    )
    assert not list(tmp_path.iterdir())
