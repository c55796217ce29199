"""``mtvit push``: a model with its card, uploaded to the hub."""

from pathlib import Path

import click

from mtvit_core.cli.errors import verbose_option


@click.command("push", short_help="Upload a model and its card to the hub.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("repo_id", metavar="USER/NAME")
@click.option("--licence", "--license", default="", help="Of the weights, such as apache-2.0.")
@click.option("--data", default="", help="What the model was trained on, in words.")
@click.option(
    "--metrics",
    type=click.Path(path_type=Path),
    help="File of metrics.  [default: metrics.json beside the model's file, where there is one]",
)
@click.option("--base", default="", help="Hub id of the model that it was made of.")
@click.option("--private", is_flag=True, help="Make the repository private, if it is new.")
@click.option("--card-only", is_flag=True, help="Print the model card, and upload nothing.")
@verbose_option
def push_command(
    model: Path,
    repo_id: str,
    licence: str,
    data: str,
    metrics: Path | None,
    base: str,
    private: bool,
    card_only: bool,
) -> None:
    """Upload MODEL, a file or the folder of a run, to USER/NAME, with a card that says how to use it.

    Log in first, with `hf auth login` or HF_TOKEN. No path of this machine is uploaded.
    """
    from mtvit_core.model.checkpoint import load
    from mtvit_core.model.hub.card import About, card, read_metrics

    loaded = load(model)
    beside = (model if model.is_dir() else model.parent) / "metrics.json"
    found = metrics or (beside if beside.is_file() else None)
    scores = {} if found is None else read_metrics(found)
    about = About(licence=licence, data=data, metrics=scores, base=base)
    if card_only:
        click.echo(card(loaded, repo_id, about), nl=False)
        return
    click.echo(
        f"{loaded.push_to_hub(repo_id, about, private)}: {len(loaded.task_list)} tasks, with their card."
    )
