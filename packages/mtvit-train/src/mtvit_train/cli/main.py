"""The command ``mtvit-train``: train, check data, write scenes, pre-train a backbone."""

from pathlib import Path

import click

from mtvit_core.cli.errors import OneLineErrors, verbose_option
from mtvit_core.cli.options import require_sound_plugins, strict_option
from mtvit_train.cli.doctor import doctor
from mtvit_train.cli.knowledge_token import knowledge_token
from mtvit_train.cli.report import report


@click.group(cls=OneLineErrors, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option(
    "--plugins", help="Tasks to train, comma-separated, as det,seg,pose. [default: every installed one]"
)
@click.option("--data", help="A folder in COCO's layout, or 'scenes' for generated images. [default: scenes]")
@click.option(
    "--config", help="A TOML file, or the name of a recipe that ships with the trainer, as scenes-demo."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; may be repeated."
)
@click.option("--out", help="Run folder; must be empty or absent. [default: runs/mtvit]")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Updates of the weights; short for --set train.steps=N."
)
@click.option(
    "--resume", is_flag=True, help="Go on with the run in --out, with its settings, from its last checkpoint."
)
@strict_option
@verbose_option
@click.version_option(package_name="mtvit-train")
@click.pass_context
def main(
    ctx: click.Context,
    plugins: str | None,
    data: str | None,
    config: str | None,
    assignments: tuple[str, ...],
    out: str | None,
    steps: int | None,
    resume: bool,
) -> None:
    """Train one plain ViT for several tasks at once.

    mtvit-train --plugins det,seg,pose --data coco --config run.toml --out runs/first
    """
    require_sound_plugins(ctx)
    if ctx.invoked_subcommand is not None:
        return
    from rich.console import Console

    from mtvit_train.config.run import read_run
    from mtvit_train.distributed.stop_signals import STOPPED, Stopped
    from mtvit_train.runs.resume import resumed_settings
    from mtvit_train.runs.run import run

    names = None if plugins is None else tuple(name.strip() for name in plugins.split(",") if name.strip())
    overrides = {"plugins": names, "data": data, "out": out, "steps": steps}
    read = resumed_settings if resume else read_run
    try:
        run(read(config, overrides, assignments), Console(), resume=resume)
    except Stopped as stopped:
        if str(stopped):  # one process speaks for all
            click.echo(stopped)
        ctx.exit(STOPPED)


@main.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder to make.")
@click.option("--train", default=2000, show_default=True, help="Training images.")
@click.option("--val", default=200, show_default=True, help="Validation images.")
@click.option("--seed", default=0, show_default=True, help="Number of the data set.")
@click.option("--size", default=128, show_default=True, help="Side of the images in pixels, 64 to 1024.")
@click.option(
    "--workers", default=0, show_default=True, help="Processes that render; the files are the same for any."
)
def scenes(out: Path, train: int, val: int, seed: int, size: int, workers: int) -> None:
    """Write generated scenes as ordinary COCO files: boxes, masks and keypoints."""
    from mtvit_train.scenes.writer import write_scenes

    write_scenes(out, train=train, val=val, seed=seed, size=size, workers=workers)
    click.echo(f"{train} training and {val} validation scenes are in {out}.")


@main.command()
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="File to write, as vit.safetensors."
)
@click.option(
    "--config", help="A TOML file or recipe; its [model] table says which backbone. [default: scenes-demo]"
)
@click.option("--images", default=12000, show_default=True, help="Unlabelled scenes to learn from.")
@click.option("--steps", default=4500, show_default=True, help="Updates of the weights.")
@click.option("--batch-size", default=32, show_default=True, help="Images per update.")
@click.option("--seed", default=5, show_default=True, help="Stream of the scenes; runs use others.")
@click.option(
    "--method",
    default="figures",
    show_default=True,
    type=click.Choice(["figures", "mae"]),
    help="What to learn.",
)
def pretrain(
    out: Path, config: str | None, images: int, steps: int, batch_size: int, seed: int, method: str
) -> None:
    """Teach a backbone from unlabelled scenes: to find pasted figures, or to fill hidden patches.

    With its defaults this command made the weights that ship with mtvit, model.pretrained="scenes".
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


main.add_command(doctor)
main.add_command(knowledge_token)
main.add_command(report)

if __name__ == "__main__":
    main()
