"""``mtvit-train knowledge-token``: fit knowledge tokens to a teacher."""

from pathlib import Path

import click


@click.command("knowledge-token")
@click.argument("teacher", type=click.Path())
@click.option("--data", required=True, help="A folder in COCO's layout.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File to write.")
@click.option("--plugins", required=True, help="Tasks whose loss it is fitted to, such as pose.")
@click.option("--config", help="A TOML file with [train], [augment] and how to read the data.")
@click.option(
    "--set", "assignments", multiple=True, metavar="A.B=VALUE", help="Set one value; can be repeated."
)
def knowledge_token(
    teacher: str, data: str, out: Path, plugins: str, config: str | None, assignments: tuple[str, ...]
) -> None:
    """Fit a knowledge token to a frozen TEACHER, for --set distill.token of its students."""
    from mtvit_train.config.run import read_run
    from mtvit_train.distillation.knowledge_token import fit_tokens

    names = tuple(name.strip() for name in plugins.split(",") if name.strip())
    told = tuple(f"tasks.{name}.knowledge=true" for name in names)
    run = read_run(config, {"plugins": names, "data": data}, (*told, *assignments))

    def tell(step: int, loss: float) -> None:
        if step % run.train.log_every == 0 or step == run.train.steps:
            click.echo(f"step {step} of {run.train.steps}: loss {loss:.6g}")

    fit_tokens(teacher, run, out, tell)
    click.echo(f"The knowledge token is in {out}.")
