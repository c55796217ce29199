"""How fast the default detection head learns with one part changed; ``time_to_accuracy.py`` says on what.

    python -m benchmarks.accuracy.ablations --out race --steps 400 --every 200

Give the folder of that script to use its scenes again. ``instance_groups.py --change`` makes these changes in
three tasks at once, on scenes, and ``ablations_coco.py`` on real images.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from benchmarks.accuracy.time_to_accuracy import options_of, path_of, race, settings, show_table
from torch import Tensor, nn

from mtvit_core.backbones.tokens import Context, Entry
from mtvit_core.heads import proposals
from mtvit_core.heads.mlp import Hidden
from mtvit_core.heads.proposals import PickedQueries
from mtvit_core.heads.roi import Cells, RoIReader
from mtvit_core.model.multitask_vit import MultiTaskViT
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


class PartlySilent(nn.Module):
    """A reader that says zero in some places."""

    def __init__(self, reader: RoIReader, silent: slice) -> None:
        """Keep the reader and the places."""
        super().__init__()
        self.reader, self.silent = reader, silent

    def forward(self, cells: Tensor, boxes: Tensor) -> Tensor:
        """Read, B Q O."""
        heard = torch.ones(self.reader.say.out_features, device=cells.device)
        heard[self.silent] = 0
        return self.reader(cells, boxes) * heard


#: Where the reader of a head says classes, and where shapes: the cells of a mask, the offsets of keypoints.
CLASSES: dict[str, Callable[[nn.Module], slice]] = {
    "det": lambda head: slice(None),
    "seg": lambda head: slice(head.classes),
    "pose": lambda head: slice(2 * head.keypoints, -head.keypoints - 1),
}
SHAPES: dict[str, Callable[[nn.Module], slice]] = {
    "seg": lambda head: slice(head.classes, None),
    "pose": lambda head: slice(2 * head.keypoints),
}


def silence(model: MultiTaskViT, places: Mapping[str, Callable[[nn.Module], slice]]) -> None:
    """Let readers say nothing in some places."""
    for task in model.task_list:
        if task.name in places:
            head = model.modules_of(task.name).head
            head.reader.say = PartlySilent(head.reader.say, places[task.name](head))


def read_no_class(model: MultiTaskViT) -> None:
    """Take classes from the proposal and the query alone."""
    silence(model, CLASSES)


def read_no_shape(model: MultiTaskViT) -> None:
    """Take masks and regressed keypoints from the query alone."""
    silence(model, SHAPES)


class FilledQueries(PickedQueries):
    """Picked queries that enter with what their patch and their box hold, too."""

    def fill(self) -> None:
        """Draw the layers."""
        width = len(self.group)
        self.patch, self.cells, self.inside = Hidden(width, width), Cells(width), RoIReader(width, width)
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


TASKS = ("det", "seg", "pose")
#: Settings of a task by its name.
Settings = Mapping[str, tuple[str, ...]]


def in_all(*settings: str) -> Settings:
    """The same settings in every task."""
    return dict.fromkeys(TASKS, settings)


NO_REGION_LOSS: Settings = dict.fromkeys(("det", "seg"), ("loss_region=0",))
NO_DENOISING: Settings = in_all("loss_denoising=0")
#: Settings that differ, and what is done to the model.
ABLATIONS: dict[str, tuple[Settings, Callable[[MultiTaskViT], None]]] = {
    "default": ({}, keep),
    "no-denoising": (NO_DENOISING, keep),
    "no-correction": ({}, never_correct),
    "no-class-reading": (NO_REGION_LOSS, read_no_class),
    "no-shape-reading": ({}, read_no_shape),
    "no-region-loss": (NO_REGION_LOSS, keep),
    "filled": ({}, fill_queries),
    "one-patch": ({}, teach_one_patch),
    "no-overlap": ({}, forget_overlap),
    "blocks-2": (in_all("blocks=2"), keep),
    "blocks-2-filled": (in_all("blocks=2"), fill_queries),
    "blocks-2-last": (in_all("blocks=2", "deep_supervision=false"), keep),
    "blocks-4": (in_all("blocks=4"), keep),
    "blocks-6": (in_all("blocks=6"), keep),
    "joint": (in_all('visibility="joint"'), keep),
    "adamw-heads": ({}, leave_heads_to_adamw),
}


def settings_of(name: str, tasks: Sequence[str]) -> tuple[str, ...]:
    """Return the settings of an ablation for these tasks."""
    changed = ABLATIONS[name][0]
    return tuple(f"tasks.{task}.{one}" for task in tasks for one in changed.get(task, ()))


@contextmanager
def shipped() -> Iterator[None]:
    """Leave the modules that changes reach into as they were."""
    positives, overlap = proposals.POSITIVES, loss.box_iou
    try:
        yield
    finally:
        proposals.POSITIVES, loss.box_iou = positives, overlap


def main() -> None:
    """Run the ablations one after the other, and print what each needed."""
    options, data = options_of(__doc__, "ablations", ABLATIONS)
    curves = []
    for name in options.ablations:
        more = (*settings_of(name, ("det",)), *options.set)
        for seed in options.seeds:
            config = settings("det", data, options.steps, options.every, seed, more)
            with shipped():
                path = path_of(options, f"det-{name}", seed)
                curves.append(race("det", config, data, path, ABLATIONS[name][1]))
    show_table(curves)


if __name__ == "__main__":
    main()
