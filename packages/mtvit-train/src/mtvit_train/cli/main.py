"""The command ``mtvit-train``: train, check data, write scenes, pre-train a backbone, search a supernet."""

import click

from mtvit_core.cli.errors import OneLineErrors, verbose_option
from mtvit_core.cli.options import require_sound_plugins, strict_option
from mtvit_core.threads import wait_passively
from mtvit_train.cli.compare import compare
from mtvit_train.cli.convert_data import convert_data
from mtvit_train.cli.doctor import doctor
from mtvit_train.cli.knowledge_token import knowledge_token
from mtvit_train.cli.pretrain import pretrain
from mtvit_train.cli.report import report
from mtvit_train.cli.scenes import scenes
from mtvit_train.cli.search import search


@click.group(cls=OneLineErrors, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option(
    "--plugins", help="Tasks to train, comma-separated, such as det,seg,pose. [default: all installed]"
)
@click.option("--data", help="A data folder or data.yaml, or 'scenes', generated images. [default: scenes]")
@click.option(
    "--config", help="A TOML file, or the name of a recipe that ships with the trainer, such as scenes-demo."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
@click.option("--out", help="Run folder; must be empty or new. [default: runs/mtvit]")
@click.option("--steps", type=click.IntRange(min=1), help="Optimiser updates; short for --set train.steps=N.")
@click.option(
    "--resume", is_flag=True, help="Resume the run in --out from its last checkpoint, with its settings."
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
    wait_passively()
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


main.add_command(compare)
main.add_command(convert_data)
main.add_command(doctor)
main.add_command(knowledge_token)
main.add_command(pretrain)
main.add_command(report)
main.add_command(scenes)
main.add_command(search)

if __name__ == "__main__":
    main()
