"""Models as people hand them over: wrapped by what trains or compiles them, or by the folder they lie in."""

from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import nn
from torch._dynamo import OptimizedModule
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from mtvit_core.errors import CheckpointError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.published.source import PICKLES
from mtvit_core.structures.image_files import IMAGE_SUFFIXES

#: Name and ending of a model's file.
NAME, SUFFIX = "model.safetensors", ".safetensors"
#: What files of other endings, or that begin so, are.
_BEGINNINGS = {
    b"version https://git-lfs.github.com": "a pointer of Git LFS; fetch the file itself with `git lfs pull`",
    b"<!DOCTYPE": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
}
_ENDINGS = {
    ".onnx": "an ONNX program, which holds no model that could train or be changed",
    ".pt2": "an exported program; torch.export.load reads it",
    ".engine": "a TensorRT program, which holds no model that could train or be changed",
    ".json": "a file of settings or results",
    ".toml": "a file of settings",
    **dict.fromkeys(IMAGE_SUFFIXES, "a picture"),
    **dict.fromkeys((".zip", ".tar", ".gz"), "an archive; unpack it"),
}


def unwrapped(model: object) -> MultiTaskViT:
    """Return the model inside what compiles, distributes or averages it.

    Args:
        model: A model, or one in ``torch.compile``, ``DataParallel``, ``DistributedDataParallel`` or
            ``AveragedModel``, in any order.

    Raises:
        CheckpointError: there is no model inside.
    """
    inside = model
    while isinstance(inside, OptimizedModule | DataParallel | DistributedDataParallel | AveragedModel):
        inner = "_orig_mod" if isinstance(inside, OptimizedModule) else "module"
        inside = inside.get_submodule(inner)
    if isinstance(inside, MultiTaskViT):
        return inside
    kind = type(model).__name__
    hint = (
        "its weights alone do not say what they are of" if not isinstance(model, nn.Module) else "it is none"
    )
    raise CheckpointError(f"checkpoint: a {kind} cannot be saved; give a model of mtvit, for {hint}.")


def check_target(target: Path) -> None:
    """Refuse a place that a model cannot be written to, or could not be read from again.

    Raises:
        CheckpointError: saying why.
    """
    if target.is_dir():
        raise CheckpointError(
            f"checkpoint {target}: this is a folder; name a file in it, as {target / NAME}."
        )
    if not target.parent.is_dir():
        raise CheckpointError(f"checkpoint {target}: no such folder {target.parent}; create it first.")
    if target.suffix != SUFFIX:
        raise CheckpointError(
            f"checkpoint {target}: its ending is {target.suffix!r}; give one that ends in {SUFFIX}, as "
            f"{target.with_suffix(SUFFIX).name}."
        )


def own_file(path: str | Path) -> Path | None:
    """Return the file of ours that a path means, itself or in the folder of a run, or None."""
    file = Path(path) / NAME if Path(path).is_dir() else Path(path)
    if not file.is_file() or file.suffix in PICKLES:
        return None
    try:
        with safe_open(file, framework="pt") as opened:
            return file if "mtvit" in (opened.metadata() or {}) else None
    except (SafetensorError, OSError):
        return None


def what_else(file: Path) -> str:
    """Say what a file is that holds no model, as far as its ending and its first bytes tell; else nothing."""
    if file.stat().st_size == 0:
        return "an empty file; fetch or write it anew"
    with file.open("rb") as opened:
        first = opened.read(64)
    for beginning, what in _BEGINNINGS.items():
        if first.startswith(beginning):
            return what
    return _ENDINGS.get(file.suffix.lower(), "")
