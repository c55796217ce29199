"""OpenVINO."""

from pathlib import Path

import openvino
from numpy import ndarray

from mtvit_core.deploy.header import KEY, read_header
from mtvit_core.errors import CheckpointError, ConfigError

#: What OpenVINO calls the type of products; without it, it takes bfloat16 unasked where a CPU has it.
_HINTS = {"fp32": "f32", "fp16": "f32", "bf16": "bf16", "int8": "f32"}


class OpenvinoSession:
    """A ``.xml`` file with its ``.bin`` in OpenVINO; see ``Session``."""

    def __init__(self, path: Path, device: str = "auto", threads: int = 0) -> None:
        """Open a file.

        Args:
            path: The ``.xml`` file.
            device: ``auto`` or ``cpu`` for the CPU, or a device of OpenVINO, as ``gpu``.
            threads: Threads of one pass; 0 leaves them to OpenVINO.

        Raises:
            ConfigError: OpenVINO has no such device.
            CheckpointError: the file is missing, torn, or was not exported by mtvit.
        """
        core = openvino.Core()
        name = "CPU" if device == "auto" else device.upper()
        if name.partition(":")[0].partition(".")[0] not in {
            d.partition(".")[0] for d in core.available_devices
        }:
            there = ", ".join(d.lower() for d in core.available_devices)
            raise ConfigError(f"device {device!r}: this OpenVINO has {there}; take one of them, or auto.")
        if not path.is_file():
            raise CheckpointError(f"model {path}: no such file; give the path of a model.xml.")
        try:
            model = core.read_model(path)
        except RuntimeError as cause:
            first = str(cause).splitlines()[-1]
            raise CheckpointError(
                f"model {path}: OpenVINO cannot read it; {path.with_suffix('.bin').name} belongs beside it "
                f"({first:.200})."
            ) from cause
        told = model.get_rt_info(["model_info", KEY]).value if model.has_rt_info(["model_info", KEY]) else ""
        self.header = read_header(told, path)
        options = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.header.precision],
            "PERFORMANCE_HINT": "LATENCY",
            **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
        }
        self._compiled = core.compile_model(model, name, options)
        used = ", ".join(self._compiled.get_property("EXECUTION_DEVICES"))
        hint = self._compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self._request = self._compiled.create_infer_request()
        self.runtime = f"OpenVINO {openvino.__version__.partition('-')[0]}, {used}, {hint}"

    def run(self, images: ndarray) -> dict[str, ndarray]:
        """Return the outputs by name."""
        found = self._request.infer({0: images})
        return {name: found[name].copy() for name in self.header.names}
