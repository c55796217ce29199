"""Results of a graph that letterboxes, from images as they are: what its users outside of mtvit get."""

from collections.abc import Sequence

import torch
from jaxtyping import UInt8
from torch import Tensor

from mtvit_core.deploy.exported import ExportedModel
from mtvit_core.deploy.header import CONTENT
from mtvit_core.deploy.runtime.session import run_all
from mtvit_core.results.image_result import ImageResult, merged
from mtvit_core.structures.framing import ImageMeta
from mtvit_core.tasks.contract import decode


def results_of_images(exported: ExportedModel, images: Sequence[UInt8[Tensor, "3 _ _"]]) -> list[ImageResult]:
    """Return what a graph finds in images of any size, not linked.

    Args:
        exported: A model whose header says that it takes images.
        images: The images.
    """
    results = []
    for image in images:
        tensors = {
            name: torch.from_numpy(values)
            for name, values in run_all(exported.session, image[None].numpy()).items()
        }
        height, width = image.shape[-2:]
        rows, columns = tensors[CONTENT][0].tolist()
        # Boxes are in pixels of the image already; masks and maps are of the canvas.
        meta = ImageMeta(height, width, (rows, columns), ImageMeta.whole(height, width).to_original)
        said = exported.said(tensors, "image")
        parts = [
            decode(task, said[task.name], (meta,), exported.shares(task.name))[0]
            for task in exported.of_view("image")
        ]
        results.append(merged(parts))
    return results
