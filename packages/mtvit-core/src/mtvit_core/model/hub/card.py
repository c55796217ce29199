"""The model card: what a model does, for which categories, how well, on which terms, and how to use it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtvit_core.__about__ import __version__
from mtvit_core.arguments import NUMBER, require, require_table, shown
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.writing import Written

#: What the hub files a model under, by the name of its first task that it knows.
_PIPELINES = {
    "det": "object-detection",
    "seg": "image-segmentation",
    "pose": "keypoint-detection",
    "cls": "image-classification",
    "depth": "depth-estimation",
}
_PEOPLE = (
    "\n\nIt looks at one person at a time: give `predict` their boxes, or it takes the image for one person."
)
#: Categories that a card lists by name.
_LISTED = 100


@dataclass(frozen=True, kw_only=True)
class About:
    """What a model does not say of itself.

    Attributes:
        licence: Of the weights, as the hub writes it, such as ``apache-2.0``; empty where it is not stated.
        data: What it was trained on, in words.
        metrics: Scores by name, such as ``det/AP``.
        base: Hub id of the model that it was made of; empty for none.
    """

    licence: str = ""
    data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    base: str = ""

    def __post_init__(self) -> None:
        """Refuse values that no card can show.

        Raises:
            ConfigError: naming the value.
        """
        for name in ("licence", "data", "base"):
            require(f"about: {name}", getattr(self, name), str, "a text")
        for name, value in require_table("about: metrics", self.metrics, "numbers by name").items():
            if not isinstance(value, NUMBER) or isinstance(value, bool) or not math.isfinite(value):
                raise ConfigError(f"about: metric {shown(name)} is {shown(value)}; give a finite number.")


def read_metrics(path: Path) -> dict[str, float]:
    """Read metrics as ``mtvit-train`` and ``mtvit evaluate --out`` write them, by name.

    Raises:
        DataError: the file cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise DataError(f"metrics {path}: it cannot be read ({cause}).") from None
    if not isinstance(found, dict):
        raise DataError(f"metrics {path}: it holds no numbers by name; give a run's metrics.json.")
    numbers = {str(k): v for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {name: float(value) for name, value in numbers.items() if math.isfinite(value)}


def card(model: Written, repo_id: str, about: About) -> str:
    """Return the card as the hub wants it: Markdown behind a head of YAML."""
    from huggingface_hub import ModelCardData

    names = [task.name for task in model.task_list]
    head = ModelCardData(
        library_name="mtvit",
        license=about.licence or None,
        base_model=about.base or None,
        pipeline_tag=next((_PIPELINES[name] for name in names if name in _PIPELINES), None),
        tags=["mtvit", "vision-transformer", *names],
        metrics=sorted({name.rpartition("/")[2] for name in about.metrics}) or None,
    )
    parts = (_about_model(model, repo_id), _use(model, repo_id), _categories(model), _scores(about))
    data = about.data or "Not stated."
    licence = f"`{about.licence}`" if about.licence else "Not stated: ask its authors before you use it."
    text = "\n\n".join([*parts, f"## Training data\n\n{data}", f"## Licence\n\n{licence}"])
    return f"---\n{head.to_yaml()}\n---\n\n{text}\n"


def _about_model(model: Written, repo_id: str) -> str:
    millions = sum(value.numel() for value in model.parameters()) / 1e6
    rows, columns = model.canvases["image"]
    title = f"# {repo_id.rpartition('/')[2]}"
    what = (
        f"A plain Vision Transformer (`{model.backbone.name}`, {millions:.1f} million parameters) that "
        f"answers {', '.join(f'`{task.name}`' for task in model.task_list) or 'no task'} in one pass. Images "
        f"of any size come onto a canvas of {rows} x {columns} pixels. Made with mtvit {__version__}."
    )
    return f"{title}\n\n{what}"


def _use(model: Written, repo_id: str) -> str:
    plugins = sorted({type(task).__module__.partition(".")[0].replace("_", "-") for task in model.task_list})
    top_down = "" if model.of_view("image") or not model.task_list else _PEOPLE
    return f"""## How to use

    pip install {" ".join(["mtvit-core", *plugins])}
    mtvit predict {repo_id} photos/ --out found

```python
import mtvit_core

model = mtvit_core.load("{repo_id}")
for found in model.predict(["street.jpg"], min_score=0.5):
    print(found.names, found.boxes)
```{top_down}"""


def _categories(model: Written) -> str:
    every = list(model.categories)
    names = ", ".join(_plain(category.name) for category in every[:_LISTED])
    more = f" and {len(every) - _LISTED} more" if len(every) > _LISTED else ""
    points = [
        f"\n\nKeypoints of {_plain(c.name)}: {', '.join(map(_plain, c.keypoints.names))}."
        for c in every
        if c.keypoints is not None
    ]
    return f"## Categories ({len(every)})\n\n{names}{more}.{''.join(points)}"


def _plain(text: Any) -> str:
    """A name as text that Markdown leaves alone."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|#" else c for c in " ".join(str(text).split()))


def _scores(about: About) -> str:
    if not about.metrics:
        return "## Metrics\n\nNot stated."
    rows = "\n".join(f"| {_plain(name)} | {value:.4f} |" for name, value in sorted(about.metrics.items()))
    return f"## Metrics\n\n| metric | value |\n|---|---|\n{rows}"
