"""Of several ways to quantise a model the one that keeps most of its objects."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.header import ExportHeader
from mtvit_core.deploy.quantise.int8 import recipes
from mtvit_core.deploy.report.agreement import agreement
from mtvit_core.deploy.runtime.session import open_session
from mtvit_core.model.multitask_vit import MultiTaskViT

#: Images by which the ways are told apart.
_JUDGED = 16


def quantise(file: Path, header: ExportHeader, model: MultiTaskViT, images: Sequence[Tensor]) -> str:
    """Put a quantised file in the place of one in fp32.

    Args:
        file: The file.
        header: What it is to say of itself.
        model: The model, whose objects are the measure.
        images: Images to calibrate on.

    Returns:
        Name of the way that kept most.

    Raises:
        ConfigError: what quantises is not installed.
    """
    canvases = [model.framing.apply(image)[None].numpy() for image in images]
    tried: dict[str, tuple[float, Path]] = {}
    expected = model.predict(list(images[:_JUDGED]), link=False)
    for name, way in recipes(file.suffix).items():
        target = file.with_name(f"{name}{file.suffix}")
        way(file, target, header, canvases)
        found = ExportedModel(open_session(target)).predict(list(images[:_JUDGED]), link=False)
        names = [task.name for task in model.task_list if task.finds_objects]
        kept = [agreement(task, expected, found).ap for task in names]
        tried[name] = (float(np.nanmean(kept)) if kept else 0.0, target)
    best = max(tried, key=lambda name: tried[name][0])
    for name, (_, target) in tried.items():
        for part in target.parent.glob(f"{target.stem}.*"):
            if name == best:
                part.replace(file.with_suffix(part.suffix))
            else:
                part.unlink()
    return best
