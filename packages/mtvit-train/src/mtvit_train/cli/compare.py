"""``mtvit-train compare MULTI SINGLE...``: what tasks gain or lose by sharing a model."""

from pathlib import Path

import click


@click.command("compare")
@click.argument("several", metavar="MULTI", type=click.Path(path_type=Path))
@click.argument("alone", metavar="SINGLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--flat", is_flag=True, help="Average over all metrics alike, not over each task's first.")
@click.option("--higher", multiple=True, metavar="METRIC", help="A metric that counts, higher is better.")
@click.option("--lower", multiple=True, metavar="METRIC", help="A metric that counts, lower is better.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def compare(
    several: Path,
    alone: tuple[Path, ...],
    flat: bool,
    higher: tuple[str, ...],
    lower: tuple[str, ...],
    as_json: bool,
) -> None:
    """Compare the run of several tasks in MULTI with the runs of each task alone, as delta_m.

    delta_m is the mean relative change of the metrics in percent; those that are better the lower count
    negative, so it is positive where sharing helps. Each argument is a run folder or a file of metrics.
    """
    import json

    from rich.console import Console
    from rich.table import Table

    from mtvit_train.report.delta_m import HIGHER, LOWER, changes, delta_m, read_metrics, together

    chosen = (higher, lower) if higher or lower else (HIGHER, LOWER)
    single = together([(folder, read_metrics(folder)) for folder in alone])
    found = changes(read_metrics(several), single, *chosen)
    score = delta_m(found, flat)
    if as_json:
        told = {one.name: {"multi": one.several, "single": one.alone, "%": one.percent} for one in found}
        click.echo(json.dumps({"delta_m": score, "flat": flat, "metrics": told}, indent=2))
        return
    table = Table("metric", "better", "multi", "single", "change, %")
    for one in found:
        better = "lower" if one.lower else "higher"
        table.add_row(one.name, better, f"{one.several:.4f}", f"{one.alone:.4f}", f"{one.percent:+.2f}")
    Console().print(table)
    click.echo(f"delta_m {score:+.2f} % (positive: sharing a model helps)")
