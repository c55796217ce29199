"""The files that ``mtvit predict`` writes: a picture per image, files of maps, one JSON of all results."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from mtvit_core.drawing.pixel_maps import draw_map
from mtvit_core.drawing.results import draw_instances
from mtvit_core.errors import ConfigError
from mtvit_core.files import whole_file, write_text
from mtvit_core.results.image_result import ImageResult
from mtvit_core.structures.pixel_maps import CategoryMap, DenseMap, PixelMap


class JsonList:
    """A JSON list that is written entry by entry."""

    def __init__(self, file: TextIO) -> None:
        """Begin with nothing written.

        Args:
            file: Open for writing.
        """
        self._file, self._lead = file, "[\n"

    def add(self, entry: Any) -> None:
        """Append an entry."""
        self._file.write(self._lead + json.dumps(entry, indent=1))
        self._lead = ",\n"

    def end(self) -> None:
        """End the list."""
        self._file.write("[]\n" if self._lead == "[\n" else "\n]\n")


@contextmanager
def json_list(path: Path) -> Iterator[JsonList]:
    """Write a JSON list that is there whole or not at all."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8") as file:
        entries = JsonList(file)
        yield entries
        entries.end()


class FinishedList:
    """The results of a run so far, a line each in a file, from which it goes on after it was stopped.

    Attributes:
        objects: Number of objects in them.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        """Begin, or find what an earlier run has left.

        Args:
            path: Its file.
            settings: What the results depend on; a run goes on only with the same.

        Raises:
            ConfigError: what is there is of other settings.
        """
        self._path = path
        self._starts: dict[str, int] = {}
        self.objects = 0
        if not path.exists() or not self._read(settings):
            write_text(path, json.dumps(dict(settings)) + "\n")

    def _read(self, settings: Mapping[str, Any]) -> bool:
        """Find the lines of an earlier run; tell whether it has left its settings, which are the first."""
        with self._path.open("r+b") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break  # it was cut off
                if end == 0:
                    self._check(json.loads(line), settings)
                else:
                    self._count(json.loads(line), end)
                end += len(line)
            file.truncate(end)
        return end > 0

    def _check(self, found: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        other = [name for name, value in settings.items() if found.get(name) != value]
        if other:
            raise ConfigError(
                f"out {self._path.parent}: the run that was stopped here had {other[0]} "
                f"{found.get(other[0])!r}, not {settings[other[0]]!r}; go on with the same, or give another "
                "folder."
            )

    def _count(self, entry: Mapping[str, Any], start: int) -> None:
        self._starts[entry["file_name"]] = start
        self.objects += len(entry["objects"])

    def __len__(self) -> int:
        """Return the number of images that have results."""
        return len(self._starts)

    def __contains__(self, name: str) -> bool:
        """Tell whether an image has results."""
        return name in self._starts

    def add(self, entry: Mapping[str, Any]) -> None:
        """Keep a result."""
        with self._path.open("ab") as file:
            start = file.tell()
            file.write(json.dumps(dict(entry)).encode() + b"\n")
        self._count(entry, start)

    def end(self, path: Path, order: Iterable[str]) -> None:
        """Write all results as one JSON, in the order of these names, and remove the list."""
        with json_list(path) as written, self._path.open("rb") as file:
            for name in order:
                if name in self._starts:
                    file.seek(self._starts[name])
                    written.add(json.loads(file.readline()))
        self._path.unlink()


def write_pictures(
    image: UInt8[Tensor, "3 H W"], result: ImageResult, path: Path, by_object: bool
) -> dict[str, Any]:
    """Write the picture of an image's objects, and every map as data and as a picture.

    Args:
        image: The original.
        result: What was found.
        path: The picture of the objects; those of maps and their data have the map's name before the ending.
        by_object: See ``draw_instances``.

    Returns:
        The result as JSON; its maps name the files of their data.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Full colour resolution: thin coloured lines would be smeared otherwise.
    with whole_file(path) as picture:
        heading = ", ".join(labels.heading(0.5) for labels in result.labels.values())
        drawn = draw_instances(image, result.instances, by_object=by_object, heading=heading)
        drawn.save(picture, quality=92, subsampling=0)
    told = result.to_json()
    for name, values in result.maps.items():
        with whole_file(path.with_suffix(f".{name}.jpg")) as picture:
            draw_map(values, image).save(picture, quality=92, subsampling=0)
        told["maps"][name]["file"] = _write_map(values, path, name).name
    return told


def _write_map(values: PixelMap, path: Path, name: str) -> Path:
    """Numbers as .npy, C x H x W; category ids likewise, H x W; segments as COCO's panoptic PNG."""
    if isinstance(values, CategoryMap) and values.segment_ids is not None:
        target = path.with_suffix(f".{name}.png")
        ids = values.segment_ids.numpy(force=True)
        colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1)
        with whole_file(target) as partial:
            Image.fromarray(colours.astype(np.uint8)).save(partial)
        return target
    target = path.with_suffix(f".{name}.npy")
    planes = values.values if isinstance(values, DenseMap) else values.category_ids
    with whole_file(target) as partial:
        np.save(partial, planes.numpy(force=True))
    return target
