"""How fast the default detection head learns with one part changed; ``time_to_accuracy.py`` says on what.

    python benchmarks/ablations.py --out race --steps 400 --every 200

Give the folder of that script to use its scenes again. ``instance_groups.py --change`` makes some of these
changes in three tasks at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from time_to_accuracy import options_of, path_of, race, settings, show_table
from torch import Tensor, nn

from mtvit_core import proposals
from mtvit_core.mlp import Hidden
from mtvit_core.model import MultiTaskViT
from mtvit_core.proposals import PickedQueries
from mtvit_core.regions import Cells, GridReader
from mtvit_core.tokens import Context, Entry
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
    for task in model.task_list:
        model.modules_of(task.name).head.reader.correct = Silent(4)


def read_no_class(model: MultiTaskViT) -> None:
    """Take the class from the proposal and the query alone."""
    reader = model.modules_of("det").head.reader
    reader.say = Silent(reader.say.say.out_features)


class FilledQueries(PickedQueries):
    """Picked queries that enter with what their patch and their box hold, too."""

    def fill(self) -> None:
        """Draw the layers."""
        width = len(self.group)
        self.patch, self.cells, self.inside = Hidden(width, width), Cells(width), GridReader(width, width)
        nn.init.xavier_uniform_(self.inside.say.weight)

    def forward(self, context: Context) -> Entry:
        """Pick, and add both to the place."""
        entry = super().forward(context)
        x = self.norm(context.patches)
        own = x.gather(1, entry.pick.index[..., None].expand(-1, -1, x.shape[-1]))
        cells = self.cells(x.transpose(1, 2).unflatten(2, context.grid))
        inside = self.inside(cells, entry.pick.picked_boxes)
        return replace(entry, content=entry.content + self.patch(own) + inside)


def fill_queries(model: MultiTaskViT) -> None:
    """Let queries enter with what their patch and their box hold."""
    for module in list(model.modules()):
        if isinstance(module, PickedQueries):
            module.__class__ = FilledQueries
            module.fill()


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


#: Settings of a task that differ, and what is done to the model.
ABLATIONS: dict[str, tuple[tuple[str, ...], Callable[[MultiTaskViT], None]]] = {
    "default": ((), keep),
    "no-denoising": (("loss_denoising=0",), keep),
    "no-correction": ((), never_correct),
    "no-class-reading": (("loss_region=0",), read_no_class),
    "no-region-loss": (("loss_region=0",), keep),
    "filled": ((), fill_queries),
    "one-patch": ((), teach_one_patch),
    "no-overlap": ((), forget_overlap),
    "blocks-2": (("blocks=2",), keep),
    "blocks-2-filled": (("blocks=2",), fill_queries),
    "blocks-2-last": (("blocks=2", "deep_supervision=false"), keep),
    "blocks-4": (("blocks=4",), keep),
    "blocks-6": (("blocks=6",), keep),
    "joint": (('visibility="joint"',), keep),
    "adamw-heads": ((), leave_heads_to_adamw),
}


def settings_of(name: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of an ablation for these tasks."""
    return tuple(f"tasks.{task}.{one}" for task in tasks for one in ABLATIONS[name][0])


def main() -> None:
    """Run the ablations one after the other, and print what each needed."""
    options, data = options_of(__doc__, "ablations", ABLATIONS)
    as_shipped, curves = (proposals.POSITIVES, loss.box_iou), []
    for name in options.ablations:
        more = (*settings_of(name, ("det",)), *options.set)
        for seed in options.seeds:
            config = settings("det", data, options.steps, options.every, seed, more)
            curves.append(
                race("det", config, data, path_of(options, f"det-{name}", seed), ABLATIONS[name][1])
            )
            proposals.POSITIVES, loss.box_iou = as_shipped
    show_table(curves)


if __name__ == "__main__":
    main()
