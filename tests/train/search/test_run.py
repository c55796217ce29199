"""Searches of a real supernet, from the command to the folder."""

import json
import shlex
import signal
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import mtvit_core
from mtvit_core.backbones.elastic.genome import Genome
from mtvit_core.config import apply_set
from mtvit_core.model.checkpoint import load
from mtvit_core.model.cut_out import cut_out
from mtvit_core.testing.case import stir
from mtvit_train.cli.main import main
from mtvit_train.config.search import SearchConfig, read_search
from mtvit_train.data.formats.coco import read_coco
from mtvit_train.engine.evaluate import evaluate_tasks
from mtvit_train.scenes.writer import write_scenes
from mtvit_train.search.supernet import Supernet
from support.commands.processes import Forked
from support.models.elastic_cases import NAME
from support.models.elastic_cases import OPTIONS as MANY

#: Few kinds of block: each is timed.
OPTIONS = MANY | {"widths": [32, 48], "heads": [1, 3], "ratios": [2.0, 4.0]}
#: Six candidates and as many that are drawn, each scored on four images.
SMALL = {
    "population": "3",
    "generations": "2",
    "parents": "2",
    "mutants": "1",
    "crossovers": "1",
    "images": "4",
    "unseen": "2",
    "batch_size": "4",
    "passes": "1",
    "pass_threads": "1",
    "processes": "1",
    "random": "true",
    "singles.det": "0.01",
    "singles.seg": "0.01",
}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    write_scenes(folder, train=4, val=8, seed=3, size=64)
    return folder


@pytest.fixture(scope="module")
def supernet(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a supernet that has learned nothing."""
    torch.manual_seed(0)
    backbone = mtvit_core.create_backbone(NAME, (64, 64), options=OPTIONS)
    tasks = {"det": {"queries": 6}, "seg": {"queries": 6}}
    model = mtvit_core.build(backbone, tasks, read_coco(scenes, "train").categories)
    path = tmp_path_factory.mktemp("super") / "model.safetensors"
    mtvit_core.save(stir(model), path)
    return path


@pytest.fixture(scope="module")
def whole(supernet: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a search that nobody stopped."""
    out = tmp_path_factory.mktemp("search") / "whole"
    done = run(*arguments(supernet, scenes, out))
    assert done.exit_code == 0, done.output
    return out


def arguments(supernet: Path, data: Path, out: Path, **settings: str) -> list[str]:
    sets = [part for key, value in (SMALL | settings).items() for part in ("--set", f"search.{key}={value}")]
    return ["search", str(supernet), "--data", str(data), "--out", str(out), *sets]


def run(*given: str) -> Result:
    return CliRunner().invoke(main, list(given))


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "search.jsonl").read_text().splitlines()]


def differences(one: Path, other: Path) -> list[str]:
    names = ("search.jsonl", "front.json", "winner.json", "latency.json", "finished.json")
    return [name for name in names if (one / name).read_bytes() != (other / name).read_bytes()]


def test_what_a_search_leaves(whole: Path) -> None:
    winner = json.loads((whole / "winner.json").read_text())
    kinds = [line["kind"] for line in lines(whole)]
    assert kinds == ["largest", *["candidate"] * 12, *["unseen"] * 3]
    candidates = [line for line in lines(whole) if line.get("arm") == "evolution"]
    assert winner["winner"]["fitness"] == max(one["fitness"] for one in candidates)
    front = json.loads((whole / "front.json").read_text())
    assert front["goals"] == ["fitness", "parameters", "ms"]
    assert winner["genome"] in {one["genome"] for one in front["candidates"]}
    assert not list(whole.glob(".*"))


def test_the_report_shows_winner_front_and_how_to_go_on(whole: Path) -> None:
    page, winner = (whole / "report.html").read_text(), json.loads((whole / "winner.json").read_text())
    assert f"model.genome={winner['genome']}" in page
    assert all(title in page for title in ("Best so far", "Fitness and size", "Fitness and time"))
    assert "http" not in page.replace("http://www.w3.org", "")
    before = page
    assert run("report", str(whole)).exit_code == 0
    assert (whole / "report.html").read_text() == before


def test_sizes_and_scores_are_those_of_models_that_were_cut_out(
    supernet: Path, scenes: Path, whole: Path
) -> None:
    config = read_search(None, {"supernet": str(supernet), "data": str(scenes)}, ())
    settings = {key: value for key, value in SMALL.items() if key in ("images", "unseen", "batch_size")}
    table = apply_set({"search": {}}, [f"search.{key}={value}" for key, value in settings.items()])
    config = SearchConfig.model_validate({**config.model_dump(), **table})
    found = Supernet.of(config, scenes)
    model, one = load(supernet), next(line for line in lines(whole) if line["kind"] == "candidate")
    cut = cut_out(model, Genome.parse(str(one["genome"])))
    assert one["parameters"] == sum(weight.numel() for weight in cut.parameters())
    told = found.score(Genome.parse(str(one["genome"])), "compared")
    assert {n: v for n, v in told.items() if v == v} == {
        n: v for n, v in one["metrics"].items() if v is not None
    }
    shown = [found.splits[name].images for name in ("compared", "unseen")]
    assert [len(images) for images in shown] == [4, 2]
    assert not shown[0] & shown[1]
    seen: list[int] = []
    evaluate_tasks(cut, found.splits["compared"], 3, advance=seen.append)
    assert seen == [3, 1]


def test_the_winner_trains_on_with_its_weights_and_with_fresh_ones(
    supernet: Path, scenes: Path, whole: Path, tmp_path: Path
) -> None:
    winner = json.loads((whole / "winner.json").read_text())
    sets = {"train.batch_size": "2", "train.threads": "1", "records.worst": "0", "train.lr": "1e-9"}
    given = [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]
    given += ["--plugins", "det,seg", "--data", str(scenes), "--steps", "1"]
    genome = ["--set", f"model.genome={winner['genome']}"]
    done = run(*given, *genome, "--set", f"model.start={supernet}", "--out", str(tmp_path / "inherited"))
    assert done.exit_code == 0, done.output
    cut = cut_out(load(supernet), Genome.parse(winner["genome"]))
    trained = load(tmp_path / "inherited" / "model.safetensors")
    assert trained.backbone.name == cut.backbone.name
    gaps = [(a - b).abs().max().item() for a, b in zip(trained.parameters(), cut.parameters(), strict=True)]
    assert max(gaps) < 1e-6
    options = "{" + ", ".join(f"{key} = {value}" for key, value in OPTIONS.items()) + "}"
    fresh = ["--set", f"model.backbone={NAME}", "--set", f"model.options={options}"]
    fresh += ["--set", "model.image_size=[64, 64]", "--set", "tasks.det.queries=6"]
    done = run(*given, *genome, *fresh, "--set", "tasks.seg.queries=6", "--out", str(tmp_path / "fresh"))
    assert done.exit_code == 0, done.output
    new = load(tmp_path / "fresh" / "model.safetensors")
    shapes = [[weight.shape for weight in model.parameters()] for model in (new, cut)]
    assert shapes[0] == shapes[1]


def test_a_search_goes_on_where_a_signal_stopped_it(
    supernet: Path, scenes: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "stopped"
    table = str(whole / "latency.json")
    stopped = Forked(["-m", "mtvit_train", *arguments(supernet, scenes, out, table=table)])
    until = time.monotonic() + 120
    while not (out / "search.jsonl").is_file() or (out / "search.jsonl").read_text().count("\n") < 4:
        assert stopped.process.is_alive(), stopped.ended()
        assert time.monotonic() < until
        time.sleep(0.001)
    stopped.process.terminate()
    ended = stopped.ended()
    assert ended.returncode == 75
    way = f"stopped by SIGTERM; to go on: mtvit-train search --out {out} --resume"
    assert ended.stdout.splitlines()[-1] == way
    assert len(lines(out)) < len(lines(whole))
    again = run(*shlex.split(way.partition("mtvit-train ")[2]))
    assert again.exit_code == 0, again.output
    assert differences(out, whole) == []
    assert run("search", "--out", str(out), "--resume").output.startswith(
        f"resume {out}: the search has ended"
    )


def test_several_processes_find_the_same_and_end_with_a_killed_search(
    supernet: Path, scenes: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "several"
    settings = {"table": str(whole / "latency.json"), "processes": "2"}
    killed = Forked(["-m", "mtvit_train", *arguments(supernet, scenes, out, **settings)])
    until = time.monotonic() + 120
    while not (out / "search.jsonl").is_file() or (out / "search.jsonl").read_text().count("\n") < 4:
        assert killed.process.is_alive(), killed.ended()
        assert time.monotonic() < until
        time.sleep(0.001)
    scoring = children(killed.process.pid or 0)
    assert len(scoring) >= 2
    killed.process.kill()
    assert killed.ended().returncode == -signal.SIGKILL
    until = time.monotonic() + 120
    while any(map(alive, scoring)):
        assert time.monotonic() < until
        time.sleep(0.05)
    again = run("search", "--out", str(out), "--resume", "--set", "search.processes=1")
    assert again.exit_code == 0, again.output
    assert differences(out, whole) == []


def children(parent: int) -> list[int]:
    """Processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(path.parent.name))
    return found


def alive(process: int) -> bool:
    """Whether a process still runs; one that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_another_supernet_or_setting_is_refused(
    supernet: Path, scenes: Path, whole: Path, tmp_path: Path
) -> None:
    assert "not empty" in run(*arguments(supernet, scenes, whole)).output
    plain = tmp_path / "plain.safetensors"
    mtvit_core.save(cut_out(load(supernet), Genome.parse("32: 1x2 1x2 1x2 1x2")), plain)
    refused = run(*arguments(plain, scenes, tmp_path / "plain"))
    assert "is no supernet" in refused.output
    assert not (tmp_path / "plain").exists()
    assert "no such file" in run(*arguments(tmp_path / "none", scenes, tmp_path / "none-out")).output
    done = run("search", "--out", str(whole), "--resume", "--set", "search.seed=3")
    assert "search.seed is 0 in its config.json, but 3 was asked for" in done.output
    assert "Missing argument 'SUPERNET'" in run("search").output


def test_another_file_of_the_supernet_is_refused(supernet: Path, scenes: Path, tmp_path: Path) -> None:
    config = read_search(None, {"supernet": str(supernet), "data": str(scenes)}, ("sha256=0123",))
    assert config.sha256 == "0123"
    done = run(*arguments(supernet, scenes, tmp_path / "out"), "--set", "sha256=0123")
    assert "but the search began with 0123" in done.output
