"""ONNX Runtime."""

from pathlib import Path

import onnxruntime
from numpy import ndarray

from mtvit_core.deploy.header import KEY, read_header
from mtvit_core.errors import CheckpointError, ConfigError

#: Provider of each device.
PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


class OnnxSession:
    """A ``.onnx`` file in ONNX Runtime; see ``Session``."""

    def __init__(self, path: Path, device: str = "auto", threads: int = 0) -> None:
        """Open a file.

        Args:
            path: The file.
            device: ``auto`` for the first that is there of cuda and cpu, or a key of ``PROVIDERS``.
            threads: Threads of one pass; 0 for one for every core.

        Raises:
            ConfigError: the provider is unknown, not there, or did not take the model.
            CheckpointError: the file is missing, torn, or was not exported by mtvit.
        """
        wanted = _provider(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        if not path.is_file():
            raise CheckpointError(f"model {path}: no such file; give the path of a model.onnx.")
        fallback = [PROVIDERS["cpu"]] if wanted != PROVIDERS["cpu"] else []
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=[wanted, *fallback])
        except Exception as cause:  # ONNX Runtime has a class of its own for every cause
            raise CheckpointError(f"model {path}: ONNX Runtime cannot read it ({cause!s:.200}).") from cause
        used = self._session.get_providers()[0]
        if used != wanted:
            raise ConfigError(
                f"device {device!r}: ONNX Runtime runs the model by {used}, not {wanted}; install what that "
                "needs, or take --device cpu."
            )
        self.header = read_header(self._session.get_modelmeta().custom_metadata_map.get(KEY, ""), path)
        self.runtime = f"ONNX Runtime {onnxruntime.__version__}, {used}"

    def run(self, images: ndarray) -> dict[str, ndarray]:
        """Return the outputs by name."""
        names = self.header.names
        return dict(zip(names, self._session.run(names, {"images": images}), strict=True))


def _provider(device: str) -> str:
    there = onnxruntime.get_available_providers()
    if device == "auto":
        return next(p for p in (PROVIDERS["cuda"], PROVIDERS["cpu"]) if p in there)
    known = {name: provider for name, provider in PROVIDERS.items() if provider in there}
    if device.partition(":")[0] not in known:
        raise ConfigError(
            f"device {device!r}: this ONNX Runtime has {', '.join(known)}; take one of them, or auto."
        )
    return known[device.partition(":")[0]]
