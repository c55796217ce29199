"""torch, running a program of ``torch.export``."""

import warnings
from pathlib import Path

import torch
from numpy import ndarray

from mtvit_core.deploy.header import KEY, read_header
from mtvit_core.device import pick_device
from mtvit_core.errors import CheckpointError


class ProgramSession:
    """A ``.pt2`` file in torch; see ``Session``."""

    def __init__(self, path: Path, device: str = "auto") -> None:
        """Open a file.

        Args:
            path: The file.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

        Raises:
            ConfigError: there is no such device.
            CheckpointError: the file is missing, torn, or was not exported by mtvit.
        """
        if not path.is_file():
            raise CheckpointError(f"model {path}: no such file; give the path of a model.pt2.")
        told = {KEY: ""}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.export.load(path, extra_files=told)
        except Exception as cause:  # torch has no class of its own for files
            raise CheckpointError(f"model {path}: torch cannot read it ({cause!s:.200}).") from cause
        text = told[KEY]
        self.header = read_header(text.decode() if isinstance(text, bytes) else text, path)
        self._device = pick_device(device)
        self._run = program.module().to(self._device)
        self.runtime = f"torch {torch.__version__}, {self._device}"

    def run(self, images: ndarray) -> dict[str, ndarray]:
        """Return the outputs by name."""
        with torch.inference_mode():
            found = self._run(torch.from_numpy(images).to(self._device))
        return {name: found[name].cpu().numpy() for name in self.header.names}
