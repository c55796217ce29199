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
from mtvit_core.deploy.quantise.parts import parts_of, products_of

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
    recipes(".onnx")[way](source, target, header, canvases, [])
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
    assert quantise(file, header, exported.model, shown, 1.0) in recipes(".onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert file.stat().st_size < before
    objects_agree(exported, file, shown)


def test_products_are_told_apart_by_part():
    names = [f"model.backbone.vit.blocks.{i}.mlp.fc1/MatMul_{i}" for i in (0, 1, 2, 10)]
    names += ["model.tasks.seg.head.mask/MatMul_9", "model.decoders.dense/MatMul_7", "model/tasks.x/MatMul_8"]
    assert parts_of(names) == {
        "blocks.0": (names[0],),
        "blocks.10": (names[3],),
        "tasks.seg": (names[4],),
        "decoders": (names[5],),
    }


@pytest.mark.parametrize("ending", [".onnx", ".xml"])
def test_what_rounding_harms_is_left_out(exported, header, tmp_path, monkeypatch, ending):
    if ending == ".xml":
        pytest.importorskip("nncf")
    file = tmp_path / f"model{ending}"
    for part in exported.files[ending].parent.glob("model.*"):
        shutil.copy(part, tmp_path)
    whole = set(products_of(file))
    assert {"blocks.0", "tasks.det"} <= parts_of(whole).keys()
    images = [torch.randint(0, 256, (3, 32, 48), dtype=torch.uint8) for _ in range(4)]

    def score(self, way, left_out):  # of a model in which only the head of det is sensitive
        return 0.5 + 0.45 * ("tasks.det" in left_out) + 0.001 * len(left_out)

    monkeypatch.setattr("mtvit_core.deploy.quantise.choose._Trials.score", score)
    way = quantise(file, header, exported.model, images, 0.1)
    assert way.endswith(", without tasks.det")
    kept = {name for name in products_of(file) if "tasks.det" in name}
    assert kept == set(parts_of(whole)["tasks.det"])
    if ending == ".onnx":
        assert not [name for name in products_of(file) if "blocks.0" in name and name in whole]


def test_openvino_files_are_quantised_by_nncf(exported, header, shown, tmp_path):
    pytest.importorskip("nncf")
    file = tmp_path / "model.xml"
    for ending in (".xml", ".bin"):
        shutil.copy(exported.files[".xml"].with_suffix(ending), file.with_suffix(ending))
    assert quantise(file, header, exported.model, shown, 1.0) in ("smooth", "plain")
    objects_agree(exported, file, shown)
