"""An exported model that predicts without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from mtvit_core.deploy.exported_file import exported_file
from mtvit_core.deploy.header import CONTENT
from mtvit_core.deploy.light.decode import labels, map_values, objects
from mtvit_core.deploy.light.frames import Frame, LightImage, on_canvas, read
from mtvit_core.deploy.runtime.session import open_session, run_all
from mtvit_core.errors import CheckpointError, ConfigError


class LightModel:
    """Predicts with numpy, pillow and ONNX Runtime or OpenVINO alone.

    Results are entries as ``mtvit predict --no-link`` writes them; what several tasks find is not linked.

    Attributes:
        session: What runs the graph; its ``runtime`` tells the device really used.
        tasks: Names of its tasks.
    """

    def __init__(
        self, path: str | Path, tasks: Sequence[str] | None = None, device: str = "auto", threads: int = 0
    ) -> None:
        """Open an exported model.

        Args:
            path: The file, or the folder of an export.
            tasks: Which of its tasks to read; all by default.
            device: ``auto``, ``cpu``, or what the runtime calls its others.
            threads: Threads of one pass; 0 leaves them to the runtime.

        Raises:
            CheckpointError: the file is missing, torn, not exported by mtvit, or has no such task.
            ConfigError: a task tells what only torch can read, or what runs the file is not installed.
        """
        file = exported_file(path)
        if file is None:
            raise CheckpointError(
                f"model {path}: it is not an exported model; write one with `mtvit export`."
            )
        self.session = open_session(file, device, threads)
        header = self.session.header
        self.tasks = tuple(header.outputs) if tasks is None else tuple(tasks)
        for task in self.tasks:
            if task not in header.outputs:
                raise CheckpointError(
                    f"model {path}: it has no task {task!r}; it holds {', '.join(header.outputs)}."
                )
            if header.outputs[task].kind == "raw":
                raise ConfigError(
                    f"model {path}: task {task!r} tells raw predictions, which it decodes with torch; take "
                    "mtvit_core.load where torch is installed, or name the other tasks with tasks=."
                )

    def predict(
        self, images: LightImage | Sequence[LightImage], min_score: float = 0.3, batch_size: int = 8
    ) -> list[dict[str, Any]]:
        """Say what is found in images of any size.

        Args:
            images: One or several: paths, bytes of image files, pillow's images, or uint8 arrays H x W x 3.
            min_score: Leave out objects and labels below this score.
            batch_size: Images per pass; one where the graph letterboxes them.

        Returns:
            One entry per image: ``height``, ``width``, ``objects``, ``labels`` by task, and ``maps`` by task
            as arrays C x H x W.

        Raises:
            DataError: a file is missing, or no image.
            ShapeError: an array is not uint8 H x W x 3.
        """
        given = [images] if isinstance(images, str | Path | bytes | ndarray | Image.Image) else images
        results: list[dict[str, Any]] = []
        if self.session.header.input == "image":
            return [self._of_image(read(one), min_score) for one in given]
        for start in range(0, len(given), batch_size):
            part, canvas = given[start : start + batch_size], self.session.header.canvas
            shown = [on_canvas(read(one), canvas) for one in part]
            found = run_all(self.session, np.stack([pixels for pixels, _ in shown]))
            for i, (_, frame) in enumerate(shown):
                own = {name: values[i] for name, values in found.items()}
                results.append(self._entry(own, frame, min_score))
        return results

    def _of_image(self, pixels: UInt8[ndarray, "H W 3"], min_score: float) -> dict[str, Any]:
        """Entry of an image that the graph letterboxes."""
        found = run_all(self.session, pixels.transpose(2, 0, 1)[None])
        own = {name: values[0] for name, values in found.items()}
        rows, columns = own[CONTENT].tolist()
        canvas = self.session.header.canvas
        frame = Frame(pixels.shape[0], pixels.shape[1], (rows, columns), canvas, in_image=True)
        return self._entry(own, frame, min_score)

    def _entry(self, found: dict[str, ndarray], frame: Frame, min_score: float) -> dict[str, Any]:
        classes = self.session.header.model["categories"]
        entry: dict[str, Any] = {"height": frame.height, "width": frame.width, "objects": []}
        for task in self.tasks:
            told = self.session.header.outputs[task]
            own = {name: found[f"{task}/{name}"] for name in told.names}
            if told.kind == "objects":
                entry["objects"] += objects(task, told, own, frame, classes, min_score)
            elif told.kind == "labels":
                entry.setdefault("labels", {})[task] = labels(own["scores"], classes, min_score)
            else:
                entry.setdefault("maps", {})[task] = map_values(own["values"], frame)
        return entry
