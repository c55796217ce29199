"""A candidate of a supernet as an ordinary model, which no longer knows the supernet."""

from collections.abc import Iterable

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from mtvit_core.arguments import as_tuple, refuse, require
from mtvit_core.backbones.elastic.backbone import elastic
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import DataError
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.tasks.task import View


def cut_out(model: MultiTaskViT, genome: Genome) -> MultiTaskViT:
    """Cut a candidate out of a supernet.

    Args:
        model: The supernet; it stays as it is.
        genome: A shape of its space.

    Returns:
        A model whose outputs are those of the supernet with that genome, with copies of all its weights, in
        evaluation mode. Batch norms have the statistics of the supernet; see ``calibrate``.

    Raises:
        ConfigError: the model is no supernet, or its space does not hold the genome.
    """
    require("cut_out: model", model, MultiTaskViT, "a supernet of mtvit")
    require("cut_out: genome", genome, Genome, "mtvit_core.Genome.parse('192: 3x4 3x4')")
    tasks, person = model.task_list, model.canvases["person"]
    with torch.random.fork_rng(devices=[]):  # drawn in vain
        backbone = elastic(model.backbone, "cut_out").cut_out(genome)
        made = MultiTaskViT(backbone, tasks, model.categories, person, model.framing, model.queries)
    whole = model.state_dict()
    heads = {key: whole[key] for key in made.state_dict() if not key.startswith("backbone.")}
    made.load_state_dict(heads, strict=False)
    return made.to(model.device).eval()


#: What keeps statistics of the images that it saw in training.
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)


@torch.no_grad()
def calibrate(model: MultiTaskViT, batches: Iterable[tuple[View, UInt8[Tensor, "B 3 H W"]]]) -> None:
    """Compute the statistics of a model's batch norms anew; a candidate has others than its supernet.

    Each is the mean over the batches (Yu et al. 2020, BigNAS, section 3.4). A model without batch norms stays
    as it is, and no batch is taken.

    Args:
        model: A model that was cut out; it is in evaluation mode afterwards.
        batches: Images to look at, as ``MultiTaskViT.forward`` takes them, and what they show.

    Raises:
        DataError: batches are no pairs.
    """
    require("calibrate: model", model, MultiTaskViT, "a model of mtvit")
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, _NORMS)]
    if not norms:
        return
    shown = as_tuple("calibrate: batches", batches, tuple)
    odd = [pair for pair in shown if len(pair) != 2 or pair[0] not in model.views]
    if odd:
        raise refuse(
            "calibrate: batches", odd[0], "pairs of a view and images, as ('image', images)", DataError
        )
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    for view, images in shown:
        model(images.to(model.device), view)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
