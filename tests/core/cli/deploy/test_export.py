"""``mtvit export``: a file, a report, and a refusal in one line where it cannot be."""

import json

import pytest

import mtvit_core
from mtvit_core.deploy.export_folder import the_view
from mtvit_core.deploy.report.parity import Parity
from mtvit_core.errors import ConfigError
from support.commands.command_cases import refusal, run


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A task without queries is exported in seconds."""
    from mtvit_core.model.backbone import create_backbone

    backbone = create_backbone("vit_tiny_patch16_224", (32, 48), options={"depth": 1, "embed_dim": 24})
    file = tmp_path_factory.mktemp("saved") / "model.safetensors"
    mtvit_core.save(mtvit_core.build(backbone, {"det": {"variant": "yolos", "queries": 4}}).eval(), file)
    return file


@pytest.mark.filterwarnings(
    "ignore:No complete tensor found in the group"
)  # torch says it of shared constants
def test_a_model_and_its_report_are_written(saved, images, tmp_path):
    out = tmp_path / "out"
    result = run("export", saved, "--out", out, "--to", "pt2", "--images", images, "--batch", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["export.html", "export.json", "model.pt2"]
    told = json.loads((out / "export.json").read_text())
    assert told["input"] == "images: uint8 2 x 3 x 32 x 48"
    assert told["outputs"] == ["det/boxes", "det/scores", "det/labels", "det/queries", "det/kept"]
    assert told["failures"] == []
    assert max(told["parity"]["gaps"].values()) < 1e-3
    assert told["parity"]["tasks"][0]["found"] == told["parity"]["tasks"][0]["objects"] > 0
    assert "<td>det/boxes<td>" in (out / "export.html").read_text()
    assert "objects found too, AP 1.000" in result.stdout
    found = run("predict", out, images, "--out", tmp_path / "found", "--min-score", "0")
    assert (found.exit_code, found.stderr) == (0, "")


def test_what_does_not_go_together_is_refused_before_any_work(saved, tmp_path):
    out = ["--out", tmp_path / "out"]
    assert refusal("export", saved, *out, "--precision", "bf16") == (
        "error: export: --precision bf16 does not go with --to onnx, which takes fp32, int8; OpenVINO "
        "takes all."
    )
    assert refusal("export", saved, *out, "--precision", "int8") == (
        "error: export: int8 is calibrated on images as the model will see them; give a folder of 100 or "
        "more with --images."
    )
    assert refusal("export", saved, "--out", tmp_path) == (
        f"error: out {tmp_path}: already exists; give another folder with --out."
    )
    assert not (tmp_path / "out").exists()
    assert (
        "'none' is neither a number from 1 up nor dynamic"
        in run("export", saved, *out, "--batch", "none").output
    )


def test_two_views_make_two_graphs():
    model = mtvit_core.build(
        "vit_tiny_patch16_224", {"det": {}, "pose": {"variant": "vitpose"}}, canvas=(32, 48)
    )
    with pytest.raises(ConfigError) as error:
        the_view(model)
    assert str(error.value) == (
        "export: some tasks see whole images and others crops of people, which makes two graphs; export one "
        "with --tasks det, the other with --tasks pose."
    )


@pytest.mark.slow  # exports once more
def test_lost_objects_fail_an_export(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(Parity, "failures", lambda *_: ["task 'det': its boxes have AP 0.500"])
    out = tmp_path / "out"
    told = refusal("export", saved, "--out", out, "--to", "pt2")
    assert told == (
        f"error: export {out / 'model.pt2'}: task 'det': its boxes have AP 0.500; export.html beside it "
        "tells more. Take another --precision, or allow it with --max-loss."
    )
    assert "AP 0.500" in (out / "export.html").read_text()  # the report is kept
