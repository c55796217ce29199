"""A published checkpoint as found: its settings, and its tensors read one at a time when they are asked for.

A source is a folder with ``config.json`` and safetensors (in one file or in shards), a hub id of such a
folder, a safetensors file, or a file of ``torch.save``, which is read with ``weights_only=True``.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from mtvit_core.errors import CheckpointError
from mtvit_core.published.pickles import read_pickle
from mtvit_core.published.settings import SettingRules
from mtvit_core.state_dicts import common_prefix

#: Keys under which training scripts nest the weights in a file of ``torch.save``.
NESTS = ("model", "state_dict")
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ["config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json"]


@dataclass(frozen=True)
class Stored:
    """A tensor that has not been read yet.

    Attributes:
        shape: Its shape.
        read: Reads it.
    """

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


@dataclass(frozen=True)
class Source:
    """What a published checkpoint holds.

    Attributes:
        where: What the user called it, for messages.
        tensors: Its weights by their own keys.
        config: What ``config.json`` says; empty for a bare file.
        processor: What ``preprocessor_config.json`` says; empty where there is none.
        beside: What a file of ``torch.save`` holds beside the weights, such as arguments of its training.
        prefix: What all of its keys began with, as ``module.``, and which was taken off.
    """

    where: str
    tensors: Mapping[str, Stored]
    config: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    beside: Mapping[str, Any] = field(default_factory=dict)
    prefix: str = ""

    @property
    def kind(self) -> str:
        """``model_type`` of the settings; empty where they say none."""
        return str(self.config.get("model_type", ""))

    def has(self, *keys: str) -> bool:
        """Tell whether all of these keys are there."""
        return all(key in self.tensors for key in keys)

    def setting(self, key: str, default: Any = None) -> Any:
        """Return what ``config.json`` says.

        Raises:
            CheckpointError: it does not say it, and there is no default.
        """
        found = self.config.get(key, default)
        if found is None:
            raise CheckpointError(f"source {self.where}: its config.json lacks {key!r}.")
        return found

    def check(self, config: SettingRules, processor: SettingRules) -> None:
        """Refuse a source whose settings ask for something that is not known here.

        Args:
            config: Rules for ``config.json``.
            processor: Rules for ``preprocessor_config.json``.

        Raises:
            CheckpointError: naming the setting.
        """
        config.check(self.config, f"source {self.where}: its config.json")
        processor.check(self.processor, f"source {self.where}: its preprocessor_config.json")

    def unwrapped(self) -> "Source":
        """Return the source without what all of its keys begin with, see ``common_prefix``."""
        prefix = common_prefix(self.tensors)
        if not prefix:
            return self
        tensors = {key.removeprefix(prefix): stored for key, stored in self.tensors.items()}
        return replace(self, tensors=tensors, prefix=prefix)

    def shape(self, key: str) -> tuple[int, ...]:
        """Return the shape of a tensor, which sizes are read from.

        Raises:
            CheckpointError: it is not there.
        """
        if key not in self.tensors:
            raise CheckpointError(f"source {self.where}: it lacks {key!r}, from which its sizes are read.")
        return self.tensors[key].shape


def is_hub_id(where: str) -> bool:
    """Tell whether a text that names no file may be the id of a model on the hub, as ``owner/name``."""
    return _HUB_ID.fullmatch(where) is not None and Path(where).suffix not in (".safetensors", *PICKLES)


def open_source(where: str | Path, allowed: Iterable[type] = (), name: str = "") -> Source:
    """Look at a checkpoint without reading its weights.

    Args:
        where: A folder, a file, or a hub id.
        allowed: Classes that a pickled file may name, besides what tensors need.
        name: What messages call it, and what it may be recognised by; empty: ``where``.

    Raises:
        CheckpointError: there is no such thing, it cannot be had or read, or reading it would run code.
    """
    path, name = Path(where), name or str(where)
    if not path.exists() and is_hub_id(name):
        path = fetch(name)
    if path.is_dir():
        return _open_folder(path, name, allowed)
    if not path.is_file():
        raise CheckpointError(f"source {name}: no such file or folder; a hub id has the form owner/name.")
    tensors, beside = _tensors_of(path, name, allowed)
    return Source(name, tensors, beside=beside)


def fetch(name: str) -> Path:
    """Download a model from the hub, or find it in the cache.

    Args:
        name: Its hub id.

    Raises:
        CheckpointError: it cannot be had.
    """
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=_HUB_FILES))
        if not _weight_file(folder):
            folder = Path(snapshot_download(name, allow_patterns=["config.json", "pytorch_model.bin"]))
    except Exception as cause:  # the hub client raises errors of several libraries
        words = " ".join(str(cause).split())
        raise CheckpointError(
            f"source {name}: neither a path here nor to be had from the hub ({words:.300}); "
            "check the name, or download it and give the folder."
        ) from cause
    return folder


def _weight_file(folder: Path) -> Path | None:
    names = ("model.safetensors.index.json", "model.safetensors", "pytorch_model.bin")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _open_folder(folder: Path, name: str, allowed: Iterable[type]) -> Source:
    weights = _weight_file(folder)
    if weights is None:
        raise CheckpointError(
            f"source {name}: the folder holds neither model.safetensors, nor shards with "
            "model.safetensors.index.json, nor pytorch_model.bin."
        )
    beside: Mapping[str, Any] = {}
    if weights.suffix == ".json":
        tensors = _open_shards(weights, name)
    else:
        tensors, beside = _tensors_of(weights, name, allowed)
    config, processor = (_json(folder / f, name) for f in ("config.json", "preprocessor_config.json"))
    return Source(name, tensors, config, processor, beside)


def _json(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as cause:
        raise CheckpointError(f"source {name}: {path.name} is not JSON: {cause}.") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"source {name}: {path.name} holds no table.")
    return found


def _open_shards(index: Path, name: str) -> dict[str, Stored]:
    places = _json(index, name).get("weight_map", {})
    tensors: dict[str, Stored] = {}
    for file in sorted(set(places.values())):
        if not (index.parent / file).is_file():
            raise CheckpointError(f"source {name}: its index names the shard {file}, which is not there.")
        tensors |= _safetensors(index.parent / file, name)
    if tensors.keys() != places.keys():
        odd = sorted(tensors.keys() ^ places.keys())
        raise CheckpointError(
            f"source {name}: index and shards disagree about {odd[0]!r}; download it again."
        )
    return tensors


def _tensors_of(
    path: Path, name: str, allowed: Iterable[type]
) -> tuple[dict[str, Stored], Mapping[str, Any]]:
    if path.suffix == ".safetensors":
        return _safetensors(path, name), {}
    if path.suffix in PICKLES:
        return _pickled(path, name, allowed)
    kinds = ", ".join((".safetensors", *PICKLES))
    raise CheckpointError(f"source {name}: a file of weights ends in one of {kinds}.")


def _safetensors(path: Path, name: str) -> dict[str, Stored]:
    def reader(key: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            # Opened anew for each tensor, so that no page of another one stays in memory.
            with safe_open(path, framework="pt") as file:
                return file.get_tensor(key)  # type: ignore[no-any-return]  # safetensors is untyped

        return read

    try:
        with safe_open(path, framework="pt") as file:
            return {
                key: Stored(tuple(file.get_slice(key).get_shape()), reader(key))
                for key in file.keys()  # noqa: SIM118  (the file is no mapping)
            }
    except SafetensorError as cause:
        raise CheckpointError(
            f"source {name}: {path.name} is damaged or not a safetensors file ({cause})."
        ) from None


def _pickled(path: Path, name: str, allowed: Iterable[type]) -> tuple[dict[str, Stored], Mapping[str, Any]]:
    weights, beside = _nested(read_pickle(path, name, allowed))
    odd = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if odd or not weights:
        what = f"{odd[0]!r} among its weights is no tensor" if odd else "it holds no weights"
        raise CheckpointError(f"source {name}: {what}; give a file with a state dict.")
    stored = {str(k): Stored(tuple(v.shape), lambda v=v: v) for k, v in weights.items()}  # type: ignore[misc]
    return stored, beside


def _nested(found: Any) -> tuple[dict[Any, Any], Mapping[str, Any]]:
    """Weights, and what lies beside them."""
    if not isinstance(found, dict):
        return {}, {}
    for nest in NESTS:
        if isinstance(found.get(nest), dict):
            return dict(found[nest]), {str(key): value for key, value in found.items() if key != nest}
    return found, {}
