"""What ``mtvit-train doctor`` prints."""

from collections import Counter

from rich.console import Console
from rich.table import Table

from mtvit_train.doctor.examination import Report
from mtvit_train.doctor.finding import Level

#: Findings of one check that are printed; ``--json`` gives all.
SHOWN = 20
_VERDICT = {
    "sound": "Nothing found.",
    "doubts": "No fault, but look at the doubts: training would run.",
    "faults": "Training would refuse these data, or stop at them: fix the faults.",
}


def show(report: Report, console: Console) -> None:
    """Print tables of what the data hold, then what was found, then the verdict."""
    for line in dict.fromkeys(split.layout for split in report.splits.values() if split.layout):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    if report.splits:
        console.print(_holdings(report))
        console.print(_classes(report))
    for level in ("fault", "doubt"):
        _findings(report, level, console)
    levels = Counter(finding.level for finding in report.findings)
    counts = ", ".join(f"{levels[level]} {level}{'s' * (levels[level] != 1)}" for level in ("fault", "doubt"))
    console.print(f"{counts}. " + _VERDICT[report.verdict], highlight=False, soft_wrap=True)


def _holdings(report: Report) -> Table:
    table = Table("", *(f"{split}" for split in report.splits), title="What is there", title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    splits = report.splits.values()
    table.add_row("images", *(str(split.images) for split in splits))
    table.add_row("objects", *(str(split.instances) for split in splits))
    table.add_row("of them crowds", *(str(split.crowds) for split in splits))
    if any(split.dropped for split in splits):
        table.add_row("left out: cover nothing", *(str(split.dropped) for split in splits))
    for task in next(iter(splits)).tasks:
        cells = [f"{split.tasks[task].images} / {split.tasks[task].instances}" for split in splits]
        table.add_row(f"labelled for {task}: images / objects", *cells)
    return table


def _classes(report: Report) -> Table:
    """Objects by category, the most frequent first."""
    table = Table("id", "category", title="Objects by category", title_justify="left")
    for split in report.splits:
        table.add_column(split, justify="right")
        table.add_column("on images", justify="right")
        table.add_column("posed", justify="right")
    rows: dict[tuple[int, str], dict[str, tuple[int, int, int | None]]] = {}
    for name, held in report.splits.items():
        for one in held.classes:
            rows.setdefault((one.id, one.name), {})[name] = one.instances, one.images, one.posed
    ranked = sorted(rows.items(), key=lambda row: -sum(counts[0] for counts in row[1].values()))
    for (id_, category), by_split in ranked[:SHOWN]:
        cells = [cell for name in report.splits for cell in by_split.get(name, (0, 0, None))]
        table.add_row(str(id_), category, *("" if cell is None else str(cell) for cell in cells))
    if len(ranked) > SHOWN:
        table.caption = f"{len(ranked) - SHOWN} rarer ones are in --json"
    return table


def _findings(report: Report, level: Level, console: Console) -> None:
    checks: dict[tuple[str, str], list[str]] = {}
    for finding in report.findings:
        if finding.level == level:
            checks.setdefault((finding.check, finding.where), []).append(finding.message)
    for (check, where), messages in checks.items():
        console.print(f"{level}s, {check} of {where}:", highlight=False, style="bold")
        for message in messages[:SHOWN]:
            console.print(f"  {message}", highlight=False, soft_wrap=True, markup=False)
        if len(messages) > SHOWN:
            console.print(f"  and {len(messages) - SHOWN} more; --json lists them all", highlight=False)
