"""An exported model that is ready to run, whatever runs it; arrays of numpy in and out, no torch."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from mtvit_core.deploy.header import ExportHeader
from mtvit_core.errors import ConfigError

#: By the ending of a file: the module that runs it, and the extra that installs it.
RUNTIMES = {".onnx": ("onnxruntime", "onnx"), ".xml": ("openvino", "openvino"), ".pt2": ("torch", "")}


@runtime_checkable
class Session(Protocol):
    """An exported model that is ready to run.

    Attributes:
        header: What its file says.
        runtime: What runs it, as it tells itself: name, version, and the device or provider really used.
    """

    header: ExportHeader
    runtime: str

    def run(self, images: UInt8[ndarray, "B 3 H W"]) -> dict[str, ndarray]:
        """Return the outputs by name.

        Args:
            images: RGB, 0 to 255, of the header's canvas and as many as it allows.
        """
        ...


def open_session(path: Path, device: str = "auto", threads: int = 0) -> Session:
    """Make an exported file ready to run, by what its ending names.

    Args:
        path: A ``.onnx``, ``.xml`` or ``.pt2`` file.
        device: ``auto``, ``cpu``, or what the runtime calls its others, as ``cuda``.
        threads: Threads of one pass on a CPU; 0 leaves them to the runtime.

    Raises:
        ConfigError: what runs it is not installed, or does not know the device.
        CheckpointError: the file is missing, torn, or was not exported by mtvit.
    """
    module, extra = RUNTIMES[path.suffix]
    if find_spec(module) is None:
        wanted = f"mtvit-core[{extra}]" if extra else module
        raise ConfigError(f"model {path}: {module} runs it; install it with `pip install {wanted}`.")
    if path.suffix == ".onnx":
        from mtvit_core.deploy.runtime.onnx_session import OnnxSession

        return OnnxSession(path, device, threads)
    if path.suffix == ".xml":
        from mtvit_core.deploy.runtime.openvino_session import OpenvinoSession

        return OpenvinoSession(path, device, threads)
    from mtvit_core.deploy.runtime.program_session import ProgramSession

    return ProgramSession(path, device)


def run_all(session: Session, images: UInt8[ndarray, "B 3 H W"]) -> Mapping[str, ndarray]:
    """Run any number of images: in passes of at most so many as the graph takes, the last one filled up.

    Args:
        session: What runs them.
        images: The canvases.
    """
    least, most = session.header.batch
    passes = []
    for start in range(0, len(images), most):
        part = images[start : start + most]
        lacking = max(0, least - len(part))
        filled = np.concatenate([part, np.zeros((lacking, *part.shape[1:]), part.dtype)]) if lacking else part
        found = session.run(np.ascontiguousarray(filled))
        passes.append({name: values[: len(part)] for name, values in found.items()})
    if len(passes) == 1:
        return passes[0]
    return {name: np.concatenate([found[name] for found in passes]) for name in passes[0]}
