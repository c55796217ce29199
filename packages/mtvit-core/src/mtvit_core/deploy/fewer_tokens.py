"""A model whose patches without objects leave early, without training: who leaves is fitted to what it finds.

    y_n = score of the best object whose box holds patch n, of those that the model finds in some images
    w, c = argmin sum_n (w LN(x_n) + c - y_n)^2 + lambda |w|^2,  x_n the patch at the input of block ``after``

Closed form (ridge regression), so the same images give the same model, in seconds.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from mtvit_core.arguments import NUMBER, as_tuple, require
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.errors import ConfigError, DataError
from mtvit_core.model.checkpoint import rebuild
from mtvit_core.model.modes import evaluating
from mtvit_core.model.multitask_vit import MultiTaskViT
from mtvit_core.model.writing import header_of
from mtvit_core.results.image_result import ImageResult

#: Least score of objects that patches are to stay for.
MIN_SCORE = 0.3
#: Weight of the penalty, per patch.
PENALTY = 1e-3
#: Images of a pass.
_AT_ONCE = 16


def with_fewer_tokens(model: MultiTaskViT, after: int, keep: float, images: Sequence[Tensor]) -> MultiTaskViT:
    """Return a copy of a model where a share of the patches passes the late blocks.

    ``save``, training from it and ``mtvit export`` keep that; train it for some updates to win back what it
    loses.

    Args:
        model: The model; its backbone is a plain ViT with a table of positions.
        after: Blocks that all patches pass, from 1 to its depth - 1.
        keep: Share of the patches that pass the others, above 0 and below 1.
        images: uint8 3 x H x W, as the model will see them; 50 or more, without labels.

    Raises:
        ConfigError: the backbone is another, or after or keep do not fit it.
        DataError: the model finds no object in the images.
    """
    require("fewer tokens: model", model, MultiTaskViT, "a model of mtvit")
    require("fewer tokens: after", after, int, "a number of blocks")
    require("fewer tokens: keep", keep, NUMBER, "a share between 0 and 1")
    shown = as_tuple("fewer tokens: images", images, Tensor)
    backbone = model.backbone
    if not isinstance(backbone, PlainBackbone) or not 0 < keep < 1:
        what = "its patches cannot leave" if 0 < keep < 1 else f"keep is {keep:g}"
        raise ConfigError(f"fewer tokens: {what}; take a plain ViT of timm, and a keep between 0 and 1.")
    header = header_of(model, {})
    header["backbone"]["options"] = {**backbone.options, "keep": keep, "keep_after": after}
    made = rebuild(header, header["tasks"]).to(model.device)
    fewer = made.backbone.get_submodule("fewer")
    made.load_state_dict({**made.state_dict(), **model.state_dict()})
    weights = _fitted(model, after, shown)
    with torch.no_grad():
        fewer.score.weight.copy_(weights[None, :-1])  # type: ignore[union-attr, operator]  # a module's module
        fewer.score.bias.copy_(weights[-1:])  # type: ignore[union-attr, operator]  # the same
    return made.train(model.training)


def _fitted(model: MultiTaskViT, after: int, images: Sequence[Tensor]) -> Float[Tensor, " columns"]:
    width, device = model.backbone.spec.width, model.device
    products = PENALTY * torch.eye(width + 1, device=device, dtype=torch.float64)
    answers, held = torch.zeros(width + 1, device=device, dtype=torch.float64), 0.0
    for start in range(0, len(images), _AT_ONCE):
        part = list(images[start : start + _AT_ONCE])
        wanted = torch.stack(
            [_wanted(model, r) for r in model.predict(part, min_score=MIN_SCORE, link=False)]
        )
        canvases = torch.stack([model.letterbox.apply(image) for image in part]).to(device)
        with evaluating(model):
            tokens = model.backbone.context(canvases, [after])[after]
        patches = tokens[:, tokens.shape[1] - wanted[0].numel() :]
        rows = F.pad(F.layer_norm(patches, patches.shape[-1:]), (0, 1), value=1.0).flatten(0, 1).double()
        products += rows.T @ rows / len(rows)
        answers += rows.T @ wanted.to(device).flatten().double() / len(rows)
        held += float(wanted.sum())
    if not held:
        raise DataError(
            f"fewer tokens: the model finds nothing with a score of {MIN_SCORE} or more in these images; "
            "give images as it was trained on."
        )
    weights: Tensor = torch.linalg.solve(products, answers)
    return weights.to(torch.float32)


def _wanted(model: MultiTaskViT, found: ImageResult) -> Float[Tensor, "h w"]:
    """How much each patch is wanted: the score of the best object whose box touches it."""
    rows, columns = model.backbone.spec.grid
    wanted = torch.zeros(rows, columns)
    meta = model.letterbox.meta(found.height, found.width)
    factor = torch.tensor([meta.content[1] / found.width, meta.content[0] / found.height]).repeat(2)
    patch = torch.tensor(model.backbone.spec.patch[::-1]).repeat(2)
    for task in model.of_view("image"):
        told = found.of(task.name).instances
        for box, score in zip(told.boxes.cpu() * factor / patch, told.scores.tolist(), strict=True):
            x0, y0, x1, y1 = (int(side) for side in (*box[:2].floor(), *box[2:].ceil()))
            held = wanted[y0:y1, x0:x1]
            held.clamp_(min=score)
    return wanted
