"""What ``mtvit-train doctor`` prints."""

from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from mtvit_train.doctor.dense_labels import DenseCount
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
        if any(split.classes for split in report.splits.values()):
            console.print(_classes(report))
        _pixels_and_images(report, console)
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


def _pixels_and_images(report: Report, console: Console) -> None:
    """Classes of whole images, and dense labels, where there are some."""
    if any(split.image_classes for split in report.splits.values()):
        table = Table("class of images", *report.splits, title="Images by class", title_justify="left")
        for name, counts in _by_name(report, "image_classes").items():
            table.add_row(name, *(str(one.instances) if one else "" for one in counts))
        console.print(table)
    if any(split.dense for split in report.splits.values()):
        table = Table("dense label", *report.splits, title="Dense labels", title_justify="left")
        for name, labels in _by_name(report, "dense").items():
            table.add_row(name, *(_told(one) if one else "" for one in labels))
        console.print(table)


def _by_name(report: Report, part: str) -> dict[str, list[Any]]:
    """Entries of every split under one name, None where a split has none."""
    parts = [{one.name: one for one in getattr(split, part)} for split in report.splits.values()]
    names = dict.fromkeys(name for held in parts for name in held)
    return {name: [held.get(name) for held in parts] for name in names}


def _told(one: DenseCount) -> str:
    text = f"{one.images} images, {one.labelled:.1%} of the pixels"
    if one.least is not None:
        text += f"\n{one.least:.4g} to {one.most:.4g}"
    ranked = sorted(one.classes.items(), key=lambda pair: -pair[1])
    return text + "".join(f"\n{name} {share:.1%}" for name, share in ranked[:SHOWN])


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
