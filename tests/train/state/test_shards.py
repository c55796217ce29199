"""Parts of tensors in files: whoever wrote them, a reader gets its rows, and no others are read."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import distributed, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard

from mtvit_train.state.atomic_folder import read_folder, write_folder
from mtvit_train.state.shards import bounds, gathered, own, part, parts_of_weights, whole
from mtvit_train.state.state_tree import split
from mtvit_train.state.stored_tensors import Stored, TensorFile


def stored(folder: Path, tensor: torch.Tensor, writers: int) -> Stored:
    """A tensor as so many processes would write it."""
    places = bounds(len(tensor), writers)
    files = []
    for rank, (begin, end) in enumerate(pairwise(places)):
        path = folder / f"{len(tensor)}-{writers}-{rank}.safetensors"
        save_file({"w": tensor[begin:end].contiguous()}, path)
        files.append(TensorFile(path))
    return Stored("w", tuple(files), places)


@pytest.mark.parametrize("writers", [1, 2, 3, 4])
@pytest.mark.parametrize("rows", [1, 2, 5, 7, 8])
def test_any_number_of_readers_gets_the_rows_of_any_number_of_writers(
    rows: int, writers: int, tmp_path: Path
) -> None:
    tensor = torch.randn(rows, 3)
    found = stored(tmp_path, tensor, writers)
    assert found.shape == tensor.shape
    assert torch.equal(found[...], tensor)
    for readers in (1, 2, 3, 5):
        chunks = [*tensor.chunk(readers), *[tensor[:0]] * readers][:readers]
        places = bounds(rows, readers)
        for chunk, (begin, end) in zip(chunks, pairwise(places), strict=True):
            assert torch.equal(found[begin:end], chunk)
            assert found[begin:end].shape == chunk.shape


def test_files_of_other_rows_are_not_opened(tmp_path: Path) -> None:
    found = stored(tmp_path, torch.arange(6.0), writers=3)
    assert found[2:4].tolist() == [2, 3]
    assert ["tensors" in vars(file) for file in found.files] == [False, True, False]


def test_what_was_read_outlives_the_file(tmp_path: Path) -> None:
    found = stored(tmp_path, torch.arange(6.0), writers=1)
    rows = found[1:3]
    assert rows.untyped_storage().nbytes() == rows.nbytes  # no window on the whole tensor


@pytest.mark.parametrize(
    "value", [torch.tensor(3), torch.zeros(0, 2), torch.ones(2, 2, dtype=torch.bfloat16)]
)
def test_whole_tensors_of_any_shape_come_back(value: torch.Tensor, tmp_path: Path) -> None:
    write_folder(tmp_path / "state", {"a": [value]})
    (found,) = read_folder(tmp_path / "state")["a"]
    assert torch.equal(found, value)
    assert found.dtype == value.dtype


def test_memory_is_copied_where_two_tensors_share_it(tmp_path: Path) -> None:
    values = torch.arange(8.0)
    state: dict[str, Any] = {"window": values[2:5], "again": values, "alone": torch.ones(4)[1:]}
    tensors, _ = split(state)
    assert tensors["window"].data_ptr() == values[2:5].data_ptr()
    assert tensors["again"].data_ptr() != values.data_ptr()
    write_folder(tmp_path / "state", state)
    found = read_folder(tmp_path / "state")
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in state.items()
    }


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    """Of this process alone."""
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    distributed.destroy_process_group()


def test_a_part_has_memory_of_its_own_and_keeps_a_wrong_shape(mesh: DeviceMesh, tmp_path: Path) -> None:
    net = nn.Linear(3, 4, bias=False)
    fully_shard(net, mesh=mesh)
    right, wrong, longer = torch.ones(4, 3), torch.ones(4, 1), torch.ones(5, 3)
    found = part(right, net.weight)
    assert own(found).data_ptr() != right.data_ptr()
    for tensor in (wrong, longer):
        for value in (tensor, stored(tmp_path, tensor, writers=2)):
            with pytest.raises(RuntimeError, match="size mismatch for weight"):
                net.load_state_dict(parts_of_weights({"weight": value}, net))
    net.load_state_dict(parts_of_weights({"weight": stored(tmp_path, right, writers=3)}, net))
    assert torch.equal(whole(net.weight), right)


def test_what_is_whole_stays_as_it_is() -> None:
    state = {"a": torch.ones(3), "b": [1, (2, "x")]}
    assert gathered(state) == state
    assert whole(state["a"]) is state["a"]  # type: ignore[arg-type]
    assert part(state["a"], torch.zeros(3)) is state["a"]  # type: ignore[arg-type]
