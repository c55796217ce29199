"""A model leaves Python as a program of tensor operations."""

import io
from typing import Any

import pytest
import torch

import mtvit_core
from mtvit_core.deploy.program import TensorsOnly, export
from mtvit_core.errors import ConfigError
from mtvit_core.model.backbone import create_backbone

#: Blocks before the queries enter, and blocks that they pass.
OPTIONS = {"depth": 5, "embed_dim": 48}
CASES: dict[str, tuple[Any, Any]] = {
    "det, seg, pose": (["det", "seg", "pose"], "image"),
    "yolos": ({"det": {"variant": "yolos", "queries": 9}}, "image"),
    "eomt": ({"seg": {"variant": "eomt", "queries": 9}}, "image"),
    "vitpose": ({"pose": {"variant": "vitpose"}}, "person"),
    "vitpose-simple": ({"pose": {"variant": "vitpose-simple"}}, "person"),
    "tokenpose": ({"pose": {"variant": "tokenpose"}}, "person"),
}


# torch says it of constants that are parts of one tensor.
@pytest.mark.filterwarnings("ignore:No complete tensor found in the group")
@pytest.mark.parametrize("case", CASES)
def test_the_program_gives_the_numbers_of_the_model_also_from_a_file(case: str) -> None:
    tasks, view = CASES[case]
    backbone = create_backbone("vit_tiny_patch16_224", (64, 96), options=OPTIONS)
    model = mtvit_core.build(backbone, tasks, person_canvas=(64, 48))
    file = io.BytesIO()
    torch.export.save(export(model, view, images=2), file)
    assert model.training  # it keeps its mode
    file.seek(0)
    program = torch.export.load(file).module()
    images = torch.randint(0, 256, (2, 3, *model.canvases[view]), dtype=torch.uint8)
    with torch.no_grad():
        expected, got = TensorsOnly(model.eval(), view)(images), program(images)
    assert expected.keys() == got.keys()
    assert expected
    for path, value in expected.items():
        torch.testing.assert_close(got[path], value, rtol=1e-5, atol=1e-5)


def test_tasks_that_cannot_be_exported_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mtvit_core.build("vit_tiny_patch16_224", ["det"], canvas=(64, 96))
    with pytest.raises(ConfigError, match=r"^export: no task looks at 'person'; the model looks at image\.$"):
        export(model, "person")
    monkeypatch.setattr(type(model.task_list[0]), "exportable", False)
    with pytest.raises(ConfigError) as error:
        export(model)
    assert str(error.value) == (
        "export: task 'det' does not say that it can be exported; build the model without it, or set "
        "Detection.exportable where its head is made of tensor operations alone."
    )
