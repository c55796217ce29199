"""``report.html`` of a search: the course, the front, the winner's shape, and how to go on."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.errors import DataError
from mtvit_core.evaluation.details import Cell, Chart, Line, Table
from mtvit_core.files import write_text
from mtvit_train.recording.records import written_lines
from mtvit_train.report.history import Figure
from mtvit_train.report.page import environment, read_json
from mtvit_train.report.svg_lines import plot
from mtvit_train.search.evolution.candidate import Candidate
from mtvit_train.search.evolution.front import front, goals_of
from mtvit_train.search.outcome import on_front
from mtvit_train.state import run_files

#: Candidates of the front that the page lists.
LISTED = 30


@dataclass(frozen=True)
class BlockPicture:
    """A block of a candidate beside that of the largest network, in shares of the largest of all.

    Attributes:
        number: Its place, from 0.
        text: ``heads x ratio``, or a dash where it is absent.
        heads: Heads.
        ratio: Hidden width of its feed-forward part.
    """

    number: int
    text: str
    heads: float
    ratio: float


def write_search_report(out: Path) -> Path:
    """Write ``report.html`` from what the folder of a search holds, which may still be going on.

    Args:
        out: The folder.

    Returns:
        The page.

    Raises:
        DataError: the folder holds no search.
    """
    config = read_json(out / run_files.SETTINGS)
    if config is None:
        raise DataError(f"report {out}: no config.json there, so it is no folder of a search.")
    records = [json.loads(line) for line in written_lines(out / run_files.SEARCH)]
    scored = [Candidate.from_json(one) for one in records if one["kind"] == "candidate"]
    winner = read_json(out / run_files.WINNER)
    page = (
        environment()
        .get_template("search.html")
        .render(
            title=out.resolve().name,
            config=config,
            summary=summary(config, scored),
            course=[drawn for chart in course(scored) if (drawn := plot(chart)) is not None],
            fronts=[drawn for chart in fronts(scored) if (drawn := plot(chart)) is not None],
            listed=front_table(on_front([one for one in scored if one.arm == "evolution"])),
            winner=winner,
            compared=winner and compared_table(winner),
            blocks=winner
            and pictures(Genome.parse(winner["genome"]), Genome.parse(winner["largest"]["genome"])),
            ways=winner and ways_on(config, winner),
        )
    )
    path = out / run_files.PAGE
    write_text(path, page)
    return path


def summary(config: Mapping[str, Any], scored: Sequence[Candidate]) -> list[Figure]:
    """Return the settings that say most about a search."""
    table = config["search"]
    limits = {
        "at least": f"{table['min_parameters'] / 1e6:g} M" if table["min_parameters"] else "",
        "at most": f"{table['max_parameters'] / 1e6:g} M" if table["max_parameters"] else "",
        "in": f"{table['max_ms']:g} ms" if table["max_ms"] else "",
    }
    wanted = ", ".join(f"{how} {limit}" for how, limit in limits.items() if limit)
    arms = 2 if table["random"] else 1
    return [
        Figure("supernet", Path(config["supernet"]).name),
        Figure("objective", table["objective"]),
        Figure("limits", wanted or "none"),
        Figure("candidates", f"{len(scored)} of {arms * table['population'] * table['generations']}"),
        Figure("scored on", f"{table['images'] or 'all'} images of {table['split']}"),
    ]


def course(scored: Sequence[Candidate]) -> list[Chart]:
    """Return how fitness grew: the best so far of each arm, and the mean of each generation."""
    bests, means = [], []
    for arm in dict.fromkeys(one.arm for one in scored):
        own = [one for one in scored if one.arm == arm]
        best = tuple(accumulate((one.fitness for one in own), max))
        bests.append(Line(arm, tuple(float(n + 1) for n in range(len(own))), best))
        numbers = tuple(dict.fromkeys(one.generation for one in own))
        groups = [[one.fitness for one in own if one.generation == number] for number in numbers]
        mean = tuple(sum(group) / len(group) for group in groups)
        means.append(Line(arm, tuple(float(number + 1) for number in numbers), mean))
    return [
        Chart("Best so far", "candidates scored", "fitness", tuple(bests)),
        Chart("Mean of a generation", "generation", "fitness", tuple(means)),
    ]


def fronts(scored: Sequence[Candidate]) -> list[Chart]:
    """Return the best fitness at every size and at every time, of each arm."""
    sizes = [(one.arm, one.parameters / 1e6, one.fitness) for one in scored]
    times = [(one.arm, one.ms, one.fitness) for one in scored if one.ms is not None]
    return [
        _front("Fitness and size", "parameters (M)", sizes),
        _front("Fitness and time", "milliseconds a pass", times),
    ]


def _front(title: str, across: str, points: Sequence[tuple[str, float, float]]) -> Chart:
    lines = []
    for arm in dict.fromkeys(arm for arm, _, _ in points):
        own = [(x, -fitness) for name, x, fitness in points if name == arm]
        best = [own[index] for index in front(goals_of(own))]
        lines.append(Line(arm, tuple(x for x, _ in best), tuple(-y for _, y in best)))
    return Chart(title, across, "fitness", tuple(lines), "Candidates that nothing smaller or faster beats.")


def front_table(candidates: Sequence[Candidate]) -> Table:
    """Return the front, the fittest first."""
    tasks = tuple(candidates[0].ratios) if candidates else ()
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"{one.fitness:.3f}",
            *(one.ratios[task] for task in tasks),
            f"{one.parameters / 1e6:.2f}",
            "-" if one.ms is None else f"{one.ms:.1f}",
            one.genome,
        )
        for one in candidates[:LISTED]
    )
    more = f" {len(candidates) - LISTED} more are in {run_files.FRONT}." if len(candidates) > LISTED else ""
    note = f"No candidate beats these in fitness, parameters and time at once.{more}"
    return Table("Front", ("fitness", *tasks, "parameters (M)", "ms", "genome"), rows, note)


def compared_table(winner: Mapping[str, Any]) -> Table:
    """Return the winner beside the largest candidate and the best that was drawn."""
    singles = winner["singles"]
    rows: list[tuple[Cell, ...]] = []
    heads = [f"{task} {one['metric']}" for task, one in singles.items()]
    for name, key in (("winner", "winner"), ("best drawn", "random"), ("largest", "largest")):
        one, unseen = winner[key], winner["unseen"].get(key)
        if one is not None:
            values = [_value(singles[task], one["ratios"][task]) for task in singles]
            again = None if unseen is None else sum(unseen.values())
            ms = None if one["ms"] is None else f"{one['ms']:.1f}"
            rows.append((name, *values, one["fitness"], again, f"{one['parameters'] / 1e6:.2f}", ms))
    columns = ("candidate", *heads, "fitness", "fitness on unseen images", "parameters (M)", "ms")
    note = "Weights are those of the supernet; a winner that is trained on gets better."
    return Table("Winner", columns, tuple(rows), note)


def _value(single: Mapping[str, Any], ratio: float) -> float | None:
    """Return the metric that a ratio was made of."""
    if single["falling"]:
        return single["single"] / ratio if ratio else None
    return float(single["single"] * ratio)


def pictures(genome: Genome, largest: Genome) -> list[BlockPicture]:
    """Return what is drawn of each block."""
    widest = max(genome.width, largest.width) * max(largest.ratios)
    return [
        BlockPicture(
            number,
            f"{heads} x {ratio:g}" if heads else "-",
            heads / max(largest.heads),
            genome.width * ratio / widest,
        )
        for number, (heads, ratio) in enumerate(zip(genome.heads, genome.ratios, strict=True))
    ]


def ways_on(config: Mapping[str, Any], winner: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what can be done with the winner: what it is, and the command."""
    genome = shlex.quote(f"model.genome={winner['genome']}")
    data = f" --data {shlex.quote(config['data'])}" if isinstance(config["data"], str) else ""
    start = shlex.quote(f"model.start={config['supernet']}")
    tasks = ",".join(
        dict.fromkeys(name.partition("/")[0] for name in winner["metrics"] if name[:5] != "link/")
    )
    inherited = f"mtvit-train --plugins {tasks}{data} --set {start} --set {genome} --out runs/winner"
    return [
        ("Train on, from the weights in the supernet", inherited),
        ("Train from fresh weights: the command that trained the supernet, and", f"--set {genome}"),
    ]
