"""Products in whole numbers: smaller files that find the same objects."""

import shutil
from dataclasses import replace

import onnx
import pytest
import torch

import mtvit_core
from mtvit_core.deploy.header import read_header
from mtvit_core.deploy.quantise.choose import quantise
from mtvit_core.deploy.quantise.int8 import recipes

pytest.importorskip("onnxruntime")


@pytest.fixture
def header(exported):
    return replace(exported.captured.header, precision="int8")


@pytest.fixture
def canvases(exported, shown):
    return [exported.model.framing.apply(image)[None].numpy() for image in shown]


def objects_agree(exported, file, shown):
    loaded = mtvit_core.load(file)
    assert loaded.session.header.precision == "int8"
    for one, other in zip(loaded.predict(shown), exported.model.predict(shown), strict=True):
        assert len(one) == len(other) > 0
        torch.testing.assert_close(one.boxes, other.boxes, rtol=0, atol=6)
        assert not torch.equal(one.scores, other.scores)  # else nothing was quantised


@pytest.mark.parametrize("way", ["measured", "calibrated"])
def test_onnx_files_are_quantised_either_way(exported, header, canvases, shown, tmp_path, way):
    source, target = tmp_path / "model.onnx", tmp_path / f"{way}.onnx"
    shutil.copy(exported.files[".onnx"], source)
    recipes(".onnx")[way](source, target, header, canvases)
    graph = onnx.load(target)
    kinds = {node.op_type for node in graph.graph.node}
    assert kinds & ({"DynamicQuantizeLinear"} if way == "measured" else {"QuantizeLinear"})
    assert target.stat().st_size < source.stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["model.onnx", f"{way}.onnx"])
    told = {prop.key: prop.value for prop in graph.metadata_props}
    assert read_header(told["mtvit"], target).names == header.names


def test_the_way_that_keeps_most_takes_the_place_of_the_file(exported, header, shown, tmp_path):
    file = tmp_path / "model.onnx"
    shutil.copy(exported.files[".onnx"], file)
    before = file.stat().st_size
    assert quantise(file, header, exported.model, shown) in recipes(".onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert file.stat().st_size < before
    objects_agree(exported, file, shown)


def test_openvino_files_are_quantised_by_nncf(exported, header, shown, tmp_path):
    pytest.importorskip("nncf")
    file = tmp_path / "model.xml"
    for ending in (".xml", ".bin"):
        shutil.copy(exported.files[".xml"].with_suffix(ending), file.with_suffix(ending))
    assert quantise(file, header, exported.model, shown) in ("smooth", "plain")
    objects_agree(exported, file, shown)
