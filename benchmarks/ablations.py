"""Updates to the target of ``time_to_accuracy.py`` with one part of the default detection head changed.

    python benchmarks/ablations.py --out race --steps 2000 --every 125

Data, backbone and schedule are those of that script; give the same folder to use its scenes again.
"""

from collections.abc import Callable

from time_to_accuracy import options_of, path_of, race, settings, show_table
from torch import Tensor, nn

from mtvit_core import proposals
from mtvit_core.model import MultiTaskViT


class Silent(nn.Module):
    """Reads nothing inside boxes."""

    def __init__(self, outputs: int) -> None:
        """Keep how many numbers O are wanted of each box."""
        super().__init__()
        self.outputs = outputs

    def forward(self, patches: Tensor, boxes: Tensor) -> Tensor:
        """Return zeros B Q O."""
        return patches.new_zeros(*boxes.shape[:-1], self.outputs)


def keep(model: MultiTaskViT) -> None:
    """Change nothing."""


def read_nothing(model: MultiTaskViT) -> None:
    """Take the readers of boxes out of queries and head."""
    parts = model.modules_of("det")
    for owner in (parts.head, *parts.tokens.values()):
        owner.region = Silent(owner.region.say.out_features)


def teach_one_patch(model: MultiTaskViT) -> None:
    """Let every object teach one patch."""
    proposals.POSITIVES = 1


#: Settings that differ, and what is done to the model.
ABLATIONS: dict[str, tuple[tuple[str, ...], Callable[[MultiTaskViT], None]]] = {
    "default": ((), keep),
    "last-layer": (("tasks.det.deep_supervision=false",), keep),
    "blocks-1": (("tasks.det.blocks=1",), keep),
    "blocks-3": (("tasks.det.blocks=3",), keep),
    "blocks-4": (("tasks.det.blocks=4",), keep),
    "no-region-loss": (("tasks.det.loss_region=0",), keep),
    "no-reading": (("tasks.det.loss_region=0",), read_nothing),
    "one-patch": ((), teach_one_patch),
}


def main() -> None:
    """Run the ablations one after the other, and print what each needed."""
    options, data = options_of(__doc__, "ablations", ABLATIONS)
    positives, curves = proposals.POSITIVES, []
    for name in options.ablations:
        changed, change = ABLATIONS[name]
        for seed in options.seeds:
            config = settings("det", data, options.steps, options.every, seed, (*changed, *options.set))
            curves.append(race("det", config, data, path_of(options, f"det-{name}", seed), change))
            proposals.POSITIVES = positives
    show_table(curves)


if __name__ == "__main__":
    main()
