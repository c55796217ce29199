"""``mtvit-train pretrain``: teach a backbone from unlabelled scenes."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="File to write, such as vit.safetensors."
)
@click.option(
    "--config", help="A TOML file or recipe; its [model] table sets the backbone. [default: scenes-demo]"
)
@click.option("--images", default=12000, show_default=True, help="Unlabelled scenes to learn from.")
@click.option("--steps", default=4500, show_default=True, help="Optimiser updates.")
@click.option("--batch-size", default=32, show_default=True, help="Images per update.")
@click.option("--seed", default=5, show_default=True, help="Seed of the scenes; runs use other seeds.")
@click.option(
    "--method",
    default="figures",
    show_default=True,
    type=click.Choice(["figures", "mae"]),
    help="Pre-training task.",
)
def pretrain(
    out: Path, config: str | None, images: int, steps: int, batch_size: int, seed: int, method: str
) -> None:
    """Pre-train a backbone on unlabelled scenes: find pasted figures, or reconstruct masked patches.

    The defaults produced the weights that ship with mtvit, model.pretrained="scenes".
    """
    from rich.console import Console

    from mtvit_train.config.run import read_run
    from mtvit_train.pretraining.pretrain import pretrain as pretrain_backbone

    table = read_run(config or "scenes-demo", {}, ()).model
    pretrain_backbone(
        table,
        out,
        images=images,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        method=method,
        console=Console(),
    )
