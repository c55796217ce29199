"""What a search is worth: against random draws, retrained candidates and a hand-made network; and killed.

    python -m benchmarks.accuracy.supernet_search --supernet runs/super/model.safetensors --data DIR --out DIR

evolution   best fitness of evolution and of as many random draws, under a loose and a tight limit
ranks       Spearman's correlation of inherited and retrained fitness of some candidates
by-hand     the winner and a hand-made network of the same latency, each trained the same from fresh weights
killed      a search of some minutes against the same one that is killed and resumed: equal bit for bit?

``--parts`` names some of them. Sizes default to those of the figures in the docs; ``--help`` lists them all.
"""

import argparse
import filecmp
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy.stats import spearmanr

from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.backbones.elastic.space import Space
from mtvit_train.config.run import read_run
from mtvit_train.config.search import SearchConfig, read_search
from mtvit_train.recording.records import write_json
from mtvit_train.runs.run import run
from mtvit_train.search.evolution.fitness import Fitness
from mtvit_train.search.latency import BlockTimes, read_times, time_blocks, write_times
from mtvit_train.search.run import search
from mtvit_train.search.supernet import Supernet

CONSOLE = Console(width=200)
PARTS = ("evolution", "ranks", "by-hand", "killed")


class Bench:
    """A supernet, its table of times, and the settings that all parts share."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Read the supernet and time its blocks once."""
        self.given, self.out = given, Path(given.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.supernet = Supernet.of(self.settings("none"), Path(given.data))
        self.table = self.out / "latency.json"
        if not self.table.is_file():
            made = time_blocks(self.space, self.supernet.time, self.supernet.machine, given.seed)
            write_times(self.table, made)
        print(self.times.line, flush=True)

    @property
    def space(self) -> Space:
        """Shapes of candidates."""
        return self.supernet.space

    @property
    def times(self) -> BlockTimes:
        """Times of blocks."""
        return read_times(self.table, self.space)

    def settings(self, name: str, *more: str) -> SearchConfig:
        """Return the settings of a search."""
        given = self.given
        sets = (
            f"search.images={given.images}",
            f"search.unseen={given.images}",
            f"search.population={given.population}",
            f"search.parents={given.parents}",
            f"search.mutants={given.population // 2}",
            f"search.crossovers={given.population - given.population // 2}",
            f"search.generations={max(1, given.evaluations // given.population)}",
            f"search.processes={given.processes}",
            f"search.passes={given.passes}",
            f"search.pass_threads={given.pass_threads}",
            f"search.seed={given.seed}",
            *given.set,
            *more,
        )
        overrides = {"supernet": given.supernet, "data": given.data, "out": str(self.out / name)}
        return read_search(None, overrides, sets)

    def limit(self, share: float) -> float:
        """Return the milliseconds that are so far from the smallest candidate to the largest."""
        least, most = (self.times.ms(one) for one in (self.space.smallest, self.space.largest))
        return least + share * (most - least)

    def searched(self, name: str, *more: str) -> dict[str, Any]:
        """Search, unless it is done, and return what was found."""
        config = self.settings(name, f"search.table={self.table}", *more)
        out = Path(config.out)
        if not (out / "finished.json").is_file():
            search(config, CONSOLE, resume=(out / "config.json").is_file())
        found: dict[str, Any] = json.loads((out / "winner.json").read_text())
        return found

    def trained(self, name: str, genome: str, start: bool) -> dict[str, float]:
        """Train a network, unless it is done; return its metrics."""
        given, out = self.given, self.out / name
        model, tasks = self.supernet.model, [task.name for task in self.supernet.model.task_list]
        sets = [f"model.genome={json.dumps(genome)}", f"train.seed={given.seed}", *given.train]
        if start:
            sets.append(f"model.start={given.supernet}")
        else:
            options = ", ".join(
                f"{key} = {json.dumps(value)}" for key, value in model.backbone.options.items()
            )
            rows, columns = model.canvases["image"]
            sets += [f"model.backbone={model.backbone.name}", f"model.options={{{options}}}"]
            sets += [f"model.image_size=[{rows}, {columns}]", f"model.queries={_kind(model.queries)}"]
        if not (out / "finished.json").is_file():
            tables = (
                {}
                if start
                else {"tasks": {t.name: t.config.model_dump(mode="json") for t in model.task_list}}
            )
            overrides = {"data": given.data, "out": str(out), "plugins": tuple(tasks), "steps": given.steps}
            run(read_run(given.config, overrides, tuple(sets), over=tables), CONSOLE)
        found = json.loads((out / "metrics.json").read_text())
        return {key: value for key, value in found.items() if key != "step"}


def _kind(queries: object) -> str:
    return "task" if queries == "task" else "instance"


def evolution(bench: Bench) -> list[dict[str, Any]]:
    """Compare evolution and random draws under two limits."""
    rows = []
    for share in bench.given.limits:
        found = bench.searched(
            f"limit-{share:g}", f"search.max_ms={bench.limit(share):.3f}", "search.random=true"
        )
        best, drawn = found["winner"], found["random"]
        rows.append(
            {
                "limit_ms": round(bench.limit(share), 2),
                "evolution": best["fitness"],
                "random": drawn["fitness"],
                "largest": found["largest"]["fitness"],
                "evolution_unseen": _sum(found["unseen"].get("winner")),
                "random_unseen": _sum(found["unseen"].get("random")),
                "genome": best["genome"],
                "ms": best["ms"],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _sum(ratios: Mapping[str, float] | None) -> float | None:
    return None if ratios is None else sum(ratios.values())


def ranks(bench: Bench) -> dict[str, Any]:
    """Correlate the fitness that candidates inherit with that after the same training of each."""
    rng, space, count = np.random.default_rng([bench.given.seed, 8]), bench.space, bench.given.candidates
    genomes = [space.smallest, space.largest, *(space.draw(rng) for _ in range(max(0, count - 2)))][:count]
    largest = bench.supernet.score(space.largest, "compared")
    fitness = Fitness.of(bench.settings("ranks").search, largest)
    rows = []
    for number, genome in enumerate(genomes):
        inherited = sum(fitness.ratios(bench.supernet.score(genome, "compared")).values())
        metrics = bench.trained(f"retrained-{number}", str(genome), start=False)
        retrained = sum(fitness.ratios(metrics).values())
        rows.append({"genome": str(genome), "inherited": inherited, "retrained": retrained})
        print(json.dumps(rows[-1]), flush=True)
    found = spearmanr([row["inherited"] for row in rows], [row["retrained"] for row in rows])
    print(f"Spearman {found.statistic:.2f} over {len(rows)} candidates (wanted: 0.6)", flush=True)
    return {"spearman": found.statistic, "candidates": rows}


def by_hand(bench: Bench) -> list[dict[str, Any]]:
    """Train the winner under the tighter limit, and a network of equal blocks that takes as long."""
    share = min(bench.given.limits)
    found = bench.searched(
        f"limit-{share:g}", f"search.max_ms={bench.limit(share):.3f}", "search.random=true"
    )
    winner = Genome.parse(found["genome"])
    hand = nearest_uniform(bench.space, bench.times, bench.times.ms(winner))
    rows = []
    for name, genome in (("winner", winner), ("hand-made", hand)):
        metrics = bench.trained(f"fresh-{name}", str(genome), start=False)
        ms = bench.supernet.time(genome)
        shown = {
            key: value for key, value in metrics.items() if key.split("/")[1] in ("AP", "mIoU", "PQ", "top1")
        }
        rows.append({"network": name, "genome": str(genome), "ms": ms, **shown})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def nearest_uniform(space: Space, times: BlockTimes, ms: float) -> Genome:
    """Return the network of equal blocks whose pass is nearest to a time: what one would build by hand."""
    every = [
        one
        for width in space.widths
        for heads in space.heads
        for ratio in space.ratios
        for one in _ends(replace(space, widths=(width,), heads=(heads,), ratios=(ratio,)))
    ]
    return min(every, key=lambda genome: abs(times.ms(genome) - ms))


def _ends(space: Space) -> tuple[Genome, Genome]:
    return space.smallest, space.largest


def killed(bench: Bench) -> dict[str, Any]:
    """Kill a search again and again, and compare it with one that nobody kills."""
    given, settings = bench.given, bench.out / "whole" / "config.json"
    if settings.is_file():
        generations = json.loads(settings.read_text())["search"]["generations"]
    else:
        started = time.perf_counter()
        bench.supernet.score(bench.space.largest, "compared")
        each = (time.perf_counter() - started) / max(1, given.processes)
        generations = max(1, round(60 * given.minutes / each / given.population))
    more = (f"search.generations={generations}", "search.objective=front")
    started = time.perf_counter()
    bench.searched("whole", *more)
    minutes = (time.perf_counter() - started) / 60
    config = bench.settings("killed", f"search.table={bench.table}", *more)
    kills = kill_and_resume(config, given.kills, 60 * minutes, random.Random(given.seed))
    names = ("search.jsonl", "front.json", "winner.json")
    whole, again = bench.out / "whole", bench.out / "killed"
    equal = {name: filecmp.cmp(whole / name, again / name, shallow=False) for name in names}
    front = json.loads((again / "front.json").read_text())["candidates"]
    row = {"minutes": minutes, "kills": kills, "equal": equal, "front": len(front)}
    print(json.dumps(row), flush=True)
    return row


def kill_and_resume(config: SearchConfig, most: int, seconds: float, rng: random.Random) -> int:
    """Run a search in a process that is killed at random moments; return how often it was.

    Args:
        config: Settings.
        most: Kills at most.
        seconds: What the whole search takes.
        rng: Draws the moments.
    """
    out, kills = Path(config.out), 0
    out.parent.mkdir(exist_ok=True)
    settings = out.with_suffix(".json")
    settings.write_text(config.model_dump_json())
    while not (out / "finished.json").is_file():
        code = (
            "import sys; from rich.console import Console; from mtvit_train.search.run import search; "
            "from mtvit_train.config.search import SearchConfig; "
            f"config = SearchConfig.model_validate_json(open({str(settings)!r}).read()); "
            f"search(config, Console(width=200), resume={(out / 'config.json').is_file()})"
        )
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        try:
            wait = rng.uniform(0.3, 1.0) * seconds / max(1, most) + 10 if kills < most else None
            code_of_end = process.wait(wait)
            if code_of_end:
                raise SystemExit(f"the search ended with {code_of_end}")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    return kills


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--supernet", required=True, help="model.safetensors of a trained supernet")
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True, help="what is there already is not done again")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--evaluations", type=int, default=300, help="of each arm")
    parser.add_argument("--population", type=int, default=30)
    parser.add_argument("--parents", type=int, default=10)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--limits", type=float, nargs="+", default=[0.3, 0.6], help="0: smallest, 1: largest")
    parser.add_argument("--candidates", type=int, default=8, help="that are retrained")
    parser.add_argument("--config", help="recipe or TOML file of the trainings")
    parser.add_argument("--steps", type=int, default=1500, help="of each training")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the search that is killed")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--pass-threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a setting of the searches, as search.x=y")
    parser.add_argument("--train", action="append", default=[], help="a setting of the trainings")
    return parser.parse_args(given)


def main() -> None:
    """Run the parts, and write what they found to ``results.json``."""
    given = arguments()
    bench, found = Bench(given), {}
    todo = {"evolution": evolution, "ranks": ranks, "by-hand": by_hand, "killed": killed}
    for part in given.parts.split(","):
        print(f"== {part}", flush=True)
        found[part] = todo[part](bench)
        write_json(bench.out / f"{part}.json", found[part])


if __name__ == "__main__":
    main()
