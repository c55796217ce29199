"""What an exported model says of itself survives its file."""

import pytest

from mtvit_core.deploy.header import read_header
from mtvit_core.errors import CheckpointError


def test_it_is_read_back(exported):
    header = exported.captured.header
    assert read_header(header.to_text(), "a.onnx") == header
    assert header.names == ["det/boxes", "det/scores", "det/labels", "det/queries", "det/kept"]
    assert header.outputs["det"].constants == {"canvas": [32, 48], "nms": 1.0, "mask_threshold": 0.0}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}'])
def test_what_mtvit_did_not_write_is_refused(text):
    with pytest.raises(CheckpointError, match=r"^model a\.onnx: it does not say that mtvit exported it"):
        read_header(text, "a.onnx")
