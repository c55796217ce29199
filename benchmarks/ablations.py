"""How fast the default detection head learns with one part changed; ``time_to_accuracy.py`` says on what.

    python benchmarks/ablations.py --out race --steps 400 --every 200

Give the folder of that script to use its scenes again.
"""

from collections.abc import Callable

from time_to_accuracy import options_of, path_of, race, settings, show_table
from torch import Tensor, nn

from mtvit_core import proposals
from mtvit_core.mlp import Hidden
from mtvit_core.model import MultiTaskViT
from mtvit_det import loss


class Silent(nn.Module):
    """Says nothing, whatever it is given."""

    def __init__(self, outputs: int) -> None:
        """Keep how many numbers O are wanted."""
        super().__init__()
        self.outputs = outputs

    def forward(self, tokens: Tensor, boxes: Tensor | None = None) -> Tensor:
        """Return zeros, B Q O."""
        like = tokens if boxes is None else boxes
        return like.new_zeros(*like.shape[:-1], self.outputs)


def keep(model: MultiTaskViT) -> None:
    """Change nothing."""


def never_correct(model: MultiTaskViT) -> None:
    """Leave boxes as the queries say them."""
    model.modules_of("det").head.reader.correct = Silent(4)


def read_no_class(model: MultiTaskViT) -> None:
    """Take the class from the proposal and the query alone."""
    reader = model.modules_of("det").head.reader
    reader.say = Silent(reader.say.say.out_features)


def enter_unread(model: MultiTaskViT) -> None:
    """Let queries enter with the place and the patch they were picked for, but not with what the box has."""
    for source in model.modules_of("det").tokens.values():
        source.region = Silent(source.content.out_features)


def enter_empty(model: MultiTaskViT) -> None:
    """Let queries enter with the place they were picked for alone."""
    enter_unread(model)
    for source in model.modules_of("det").tokens.values():
        source.content = Silent(source.content.out_features)


def leave_heads_to_adamw(model: MultiTaskViT) -> None:
    """Hide the hidden layers of the head from Muon."""
    for module in model.modules():
        if isinstance(module, Hidden):
            module.__class__ = nn.Linear


def teach_one_patch(model: MultiTaskViT) -> None:
    """Let every object teach one patch."""
    proposals.POSITIVES = 1


def forget_overlap(model: MultiTaskViT) -> None:
    """Teach matched queries to say 1 instead of the IoU of their boxes."""
    loss.box_iou = lambda found, truth: found.new_ones(found.shape[:-1])


#: Settings that differ, and what is done to the model.
ABLATIONS: dict[str, tuple[tuple[str, ...], Callable[[MultiTaskViT], None]]] = {
    "default": ((), keep),
    "no-denoising": (("tasks.det.loss_denoising=0",), keep),
    "no-correction": ((), never_correct),
    "no-class-reading": (("tasks.det.loss_region=0",), read_no_class),
    "no-region-loss": (("tasks.det.loss_region=0",), keep),
    "enter-unread": ((), enter_unread),
    "enter-empty": ((), enter_empty),
    "one-patch": ((), teach_one_patch),
    "no-overlap": ((), forget_overlap),
    "last-layer": (("tasks.det.deep_supervision=false",), keep),
    "blocks-1": (("tasks.det.blocks=1",), keep),
    "blocks-4": (("tasks.det.blocks=4",), keep),
    "blocks-6": (("tasks.det.blocks=6",), keep),
    "joint": (('tasks.det.visibility="joint"',), keep),
    "adamw-heads": ((), leave_heads_to_adamw),
}


def main() -> None:
    """Run the ablations one after the other, and print what each needed."""
    options, data = options_of(__doc__, "ablations", ABLATIONS)
    as_shipped, curves = (proposals.POSITIVES, loss.box_iou), []
    for name in options.ablations:
        changed, change = ABLATIONS[name]
        for seed in options.seeds:
            config = settings("det", data, options.steps, options.every, seed, (*changed, *options.set))
            curves.append(race("det", config, data, path_of(options, f"det-{name}", seed), change))
            proposals.POSITIVES, loss.box_iou = as_shipped
    show_table(curves)


if __name__ == "__main__":
    main()
