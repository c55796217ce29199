"""``mtvit-train pretrain``: teach a backbone from images alone."""

import click


@click.command()
@click.option(
    "--data",
    multiple=True,
    help="A folder of images, in any layout, or 'scenes'; can be repeated. [default: scenes]",
)
@click.option(
    "--method",
    type=click.Choice(["distill", "dino", "mae", "figures"]),
    help="What is learned. [default: distill]",
)
@click.option("--config", help="A TOML file, or 'figures', which made the backbone that ships with mtvit.")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
@click.option("--out", help="Run folder; must be empty or new. [default: runs/pretrain]")
@click.option("--steps", type=click.IntRange(min=1), help="Updates; short for --set train.steps=N.")
@click.option("--resume", is_flag=True, help="Resume the run in --out from its last checkpoint.")
@click.pass_context
def pretrain(
    ctx: click.Context,
    data: tuple[str, ...],
    method: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    out: str | None,
    steps: int | None,
    resume: bool,
) -> None:
    """Teach a backbone from images alone, for model.pretrained of a training.

    mtvit-train pretrain --data images --method distill --out runs/pretrain
    """
    from rich.console import Console

    from mtvit_train.config.pretraining import read_pretrain
    from mtvit_train.distributed.stop_signals import STOPPED, Stopped
    from mtvit_train.runs.pretrain import pretrain as pretrain_backbone
    from mtvit_train.runs.resume import resumed_pretraining

    overrides = {"data": list(data) or None, "method": method, "out": out, "steps": steps}
    read = resumed_pretraining if resume else read_pretrain
    try:
        pretrain_backbone(read(config, overrides, assignments), Console(), resume=resume)
    except Stopped as stopped:
        if str(stopped):  # one process speaks for all
            click.echo(stopped)
        ctx.exit(STOPPED)
