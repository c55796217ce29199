"""Files of a graph: names, sizes that may vary, and no operator that runtimes stumble over."""

import onnx

from mtvit_core.deploy.graph.files import REFUSED


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
