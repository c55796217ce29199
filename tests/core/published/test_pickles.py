"""Files of torch.save: numbers of numpy beside the weights are read, nothing that runs is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtvit_core.errors import CheckpointError
from mtvit_core.published.pickles import read_pickle
from mtvit_core.published.source import open_source

#: How numpy 1 and 2 call what they pickle scalars by.
MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8, np.bool_])
@pytest.mark.parametrize("zipped", [True, False])
def test_numbers_of_numpy_beside_the_weights(tmp_path: Path, kind: Any, zipped: bool) -> None:
    path = tmp_path / "best_AP_epoch_210.pth"
    content = {
        "meta": {"epoch": 210, "hook_msgs": {"best_score": kind(1), "best_ckpt": "best.pth"}},
        "state_dict": {"weight": torch.ones(2)},
    }
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found = open_source(path)
    assert list(found.tensors) == ["weight"]
    score = found.beside["meta"]["hook_msgs"]["best_score"]
    assert type(score) is kind
    assert score == 1


@pytest.mark.parametrize("module", MODULES)
def test_those_of_either_numpy(tmp_path: Path, module: str) -> None:
    """A file names the module of the numpy that wrote it."""
    torch.save({"perf": np.float64(0.5)}, tmp_path / "new.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "new.pth").read_bytes()
    assert b"numpy._core.multiarray\nscalar" in content or b"numpy.core.multiarray\nscalar" in content
    for name in MODULES:
        content = content.replace(f"c{name}\n".encode(), f"c{module}\n".encode())
    (tmp_path / "old.pth").write_bytes(content)
    assert read_pickle(tmp_path / "old.pth", "here", ())["perf"] == 0.5


def test_what_else_is_named_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save({"perf": np.float64(0.5), "path": Path("/"), "weights": torch.ones(1)}, path)
    with pytest.raises(CheckpointError) as error:
        read_pickle(path, "here", ())
    assert str(error.value).startswith("source here: its pickle needs pathlib")
    assert "numpy" not in str(error.value)
