"""A search from settings to a folder of results; and on from where it was stopped."""

import os
import shlex
import time
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from mtvit_core.errors import CheckpointError, ConfigError
from mtvit_core.files import checksum
from mtvit_core.model.checkpoint import read_header
from mtvit_core.threads import usable_cores
from mtvit_train.build.data import prepare_data
from mtvit_train.config.search import SearchConfig, read_search
from mtvit_train.distributed.stop_signals import StopAsked, Stopped, StopRequest
from mtvit_train.recording.records import write_json
from mtvit_train.runs.beginning import beginning
from mtvit_train.runs.folder import check_free, read_settings, write_settings
from mtvit_train.runs.resume import check_same
from mtvit_train.search.display import SearchDisplay, describe
from mtvit_train.search.evolution.log import COMMAND, Log
from mtvit_train.search.evolution.search import Found, Search, Subject
from mtvit_train.search.latency import clock
from mtvit_train.search.outcome import write_outcome
from mtvit_train.search.page import write_search_report
from mtvit_train.search.scoring import Alone, Processes
from mtvit_train.search.supernet import Supernet
from mtvit_train.state import run_files
from mtvit_train.state.atomic_folder import writing

#: What may be another when a search goes on: the results are the same.
FREE = ("search.processes",)


def search(config: SearchConfig, console: Console, *, resume: bool = False) -> None:
    """Look for the best candidate of a supernet.

    Args:
        config: Settings; ``out`` must be empty or absent, or hold the search to go on with.
        console: Where progress goes.
        resume: Go on behind the last record in ``out``.

    Raises:
        Stopped: a signal asked the search to stop.
        ConfigError: a setting does not fit, or nothing is within the limits.
        CheckpointError: the supernet cannot be read, or is not the one that the search began with.
        DataError: a file is missing or malformed.
        DiskError: the folder cannot be written to.
    """
    out, started = Path(config.out), time.perf_counter()
    tell = partial(console.print, highlight=False, soft_wrap=True, markup=False)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError(
            "search: it was started several times, as by torchrun; start it once, with search.processes."
        )
    if resume and (out / run_files.FINISHED).is_file():
        tell(f"resume {out}: the search has ended already; nothing is left to do.")
        return
    config = with_checksum(config)
    with StopRequest() as stop:
        try:
            with beginning(out, fresh=not resume):
                supernet, make = _begin(config, out, stop, resume)
            found = _search(config, supernet, make, out, stop, console)
        except StopAsked as asked:
            raise Stopped(_way_on(asked, out)) from None
    with writing(out, COMMAND):
        write_outcome(out, config, found)
        write_search_report(out)
        write_json(out / run_files.FINISHED, {"candidates": len(found.candidates)})
    tell(f"best: fitness {found.winner.fitness:.3f}, {describe(found.winner)}")
    tell(f"{(time.perf_counter() - started) / 60:.1f} minutes. The front and how to go on are in {out}:")
    for name in (run_files.PAGE, run_files.WINNER, run_files.FRONT, run_files.SEARCH):
        tell(f"  {out / name}")


def with_checksum(config: SearchConfig) -> SearchConfig:
    """Return settings that hold the checksum of the supernet's file.

    Raises:
        CheckpointError: the file is missing, or not the one that the settings name by its checksum.
    """
    path = Path(config.supernet)
    if not path.is_file():
        raise CheckpointError(
            f"supernet {path}: no such file; give the model.safetensors of a run with an elastic backbone."
        )
    found = checksum(path)
    if config.sha256 not in ("", found):
        raise CheckpointError(
            f"supernet {path}: its SHA-256 is {found[:12]}..., but the search began with {config.sha256[:12]}"
            "...; give that file, or start another search."
        )
    return config.model_copy(update={"sha256": found})


def resumed_search(
    config: str | None, overrides: Mapping[str, Any], assignments: tuple[str, ...]
) -> SearchConfig:
    """Return the settings of the search that the options point to.

    Args:
        config: As for ``read_search``.
        overrides: As for ``read_search``; ``out`` is the folder of the search.
        assignments: As for ``read_search``.

    Raises:
        ConfigError: the folder holds no search, or an option asks for another setting than the search has.
    """
    named = {**overrides, "supernet": overrides.get("supernet") or "?"}
    out = read_search(config, named, assignments).out
    saved = read_settings(Path(out), SearchConfig)
    asked = read_search(config, dict(overrides), assignments, saved.model_dump(mode="json"))
    check_same(saved, asked, out, FREE)
    return saved.model_copy(update={"out": out, "search": asked.search})


def _begin(
    config: SearchConfig, out: Path, stop: StopRequest, resume: bool
) -> tuple[Supernet, partial[Supernet]]:
    """Return the supernet and what makes it anew; the folder is made once all that is needed is there."""
    if not resume:
        check_free(out)
        if config.data == "scenes":
            write_settings(out, config)
    run = config.as_run(tuple(read_header(config.supernet)["tasks"]))
    with writing(out, COMMAND):
        data = prepare_data(run, out, stop.check_here)
    make = partial(Supernet.of, config, data)
    supernet = make()
    if not resume and config.data != "scenes":
        write_settings(out, config)
    return supernet, make


def _search(
    config: SearchConfig,
    supernet: Supernet,
    make: "partial[Supernet]",
    out: Path,
    stop: StopRequest,
    console: Console,
) -> Found:
    table, log = config.search, Log(out / run_files.SEARCH)
    count = table.processes or (1 if supernet.model.device.type == "cuda" else usable_cores())
    scoring = (
        Alone(supernet, table.threads, stop) if count == 1 else Processes(make, count, table.threads, stop)
    )
    display = SearchDisplay(console, table, log.count("candidate"))
    with closing(scoring), display:
        display.notes(supernet.notes)

        def timed(genome: Any) -> float:
            stop.check_here()
            return supernet.time(genome)

        ms = clock(table, supernet.space, timed, supernet.machine, log, out / run_files.LATENCY, display.say)
        subject = Subject(supernet.space, supernet.parameters, ms, scoring, supernet.unseen)
        return Search(subject, table, log, display).run()


def _way_on(asked: StopAsked, out: Path) -> str:
    if not (out / run_files.SETTINGS).is_file():
        return f"stopped by {asked.cause} before it began; to go on, give the same command again."
    return f"stopped by {asked.cause}; to go on: {COMMAND} --out {shlex.quote(str(out))} --resume"
