"""Files of every kind are opened by what they are."""

import pytest

import mtvit_core
from mtvit_core.deploy.exported_file import exported_file
from mtvit_core.errors import CheckpointError, ConfigError


def test_the_folder_of_an_export_means_its_model(exported, tmp_path):
    (tmp_path / "model.onnx").write_bytes(exported.files[".onnx"].read_bytes())
    assert exported_file(tmp_path) is None  # any folder may hold such a file
    (tmp_path / "export.json").write_text("{}")
    assert exported_file(tmp_path) == tmp_path / "model.onnx"


def test_settings_of_an_exported_model_are_refused(exported):
    path = exported.files[".onnx"]
    with pytest.raises(ConfigError) as error:
        mtvit_core.load(path, settings={"det": {"nms": 0.5}})
    assert str(error.value) == (
        f"settings of task 'det': {path} is an exported model, where settings are part of the graph; export "
        "again with --set, or run the checkpoint."
    )


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        (".onnx", "ONNX Runtime cannot read it"),
        (".xml", "OpenVINO cannot read it; torn.bin belongs beside it"),
        (".pt2", "torch cannot read it"),
    ],
)
def test_a_torn_file_is_named(exported, tmp_path, ending, start):
    torn = tmp_path / f"torn{ending}"
    torn.write_bytes(exported.files[ending].read_bytes()[:500])
    with pytest.raises(CheckpointError) as error:
        mtvit_core.load(torn)
    assert str(error.value).startswith(f"model {torn}: {start}")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", [".onnx", ".xml", ".pt2"])
def test_a_file_that_is_not_there_is_named(tmp_path, ending):
    with pytest.raises(CheckpointError, match=r"none\.\w+: no such file;"):
        mtvit_core.load(tmp_path / f"none{ending}")


def test_a_device_that_is_not_there_is_refused(exported):
    with pytest.raises(ConfigError, match=r"^device 'coreml': this ONNX Runtime has cpu; take one of them"):
        mtvit_core.load(exported.files[".onnx"], device="coreml")
    with pytest.raises(ConfigError, match=r"^device 'npu': this OpenVINO has cpu; take one of them"):
        mtvit_core.load(exported.files[".xml"], device="npu")
