"""What an exported model says of itself; reading it needs no torch."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mtvit_core.errors import CheckpointError

#: Version of the layout, and the name under which a file keeps it.
FORMAT, KEY = "mtvit-export-1", "mtvit"
#: What a task tells: objects, labels or a map on the canvas, or predictions that only the task can read.
Kind = Literal["objects", "labels", "map", "raw"]
#: What comes into a graph: letterboxed canvases, or images of any size, of one size in each pass.
Input = Literal["canvas", "image"]
#: Output of a graph that letterboxes: rows and columns of the canvas that show an image.
CONTENT = "content"
#: Types that the products of a graph are made in; ``int8`` where it is quantised.
Precision = Literal["fp32", "fp16", "bf16", "int8"]


@dataclass(frozen=True)
class TaskOutputs:
    """What a graph tells of one task.

    Attributes:
        kind: The form.
        names: Its tensors, without the task's name and the slash before them.
        constants: Fields of the form that are no tensors, such as ``nms``, as plain data.
    """

    kind: Kind
    names: tuple[str, ...]
    constants: Mapping[str, Any]


@dataclass(frozen=True)
class ExportHeader:
    """What an exported model says of itself.

    Attributes:
        version: Version of mtvit that wrote it.
        view: What its images show: ``image``, or ``person`` for crops of top-down tasks.
        canvas: Rows H and columns W of what the model sees: its input, uint8 B x 3 x H x W, or what that is
            letterboxed to.
        batch: Least and most images of a pass.
        precision: Type of its products.
        outputs: What it tells, by task, in the order of the tasks.
        shares: Tasks that share their queries.
        model: What the checkpoint of the model says of it: tasks with settings, categories, framing.
        input: What comes in. Of images, boxes and keypoints are in their pixels; masks and maps are of the
            canvas, of which ``content`` tells the part that shows the image.
    """

    version: str
    view: str
    canvas: tuple[int, int]
    batch: tuple[int, int]
    precision: Precision
    outputs: Mapping[str, TaskOutputs]
    shares: tuple[str, ...]
    model: Mapping[str, Any]
    input: Input = "canvas"

    @property
    def names(self) -> list[str]:
        """Names of all output tensors, in order."""
        names = [f"{task}/{name}" for task, told in self.outputs.items() for name in told.names]
        return [*names, CONTENT] if self.input == "image" else names

    def to_text(self) -> str:
        """Return JSON that ``read_header`` reads back."""
        outputs = {
            task: {"kind": told.kind, "names": list(told.names), "constants": dict(told.constants)}
            for task, told in self.outputs.items()
        }
        return json.dumps({"format": FORMAT, **vars(self), "outputs": outputs})


def read_header(text: str, source: object) -> ExportHeader:
    """Read what ``ExportHeader.to_text`` wrote.

    Args:
        text: The JSON; empty where a file has none.
        source: The file, for messages.

    Raises:
        CheckpointError: it is something else.
    """
    try:
        data = json.loads(text or "{}")
    except json.JSONDecodeError:
        data = {}
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise CheckpointError(
            f"model {source}: it does not say that mtvit exported it (format {FORMAT!r}); write it with "
            "`mtvit export`."
        )
    outputs = {
        task: TaskOutputs(told["kind"], tuple(told["names"]), told["constants"])
        for task, told in data.pop("outputs").items()
    }
    sizes: dict[str, Any] = {name: tuple(data.pop(name)) for name in ("canvas", "batch", "shares")}
    return ExportHeader(outputs=outputs, **sizes, **data)
