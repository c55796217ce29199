"""Few labels, more images: pre-training on all of them against training alone, in the same minutes.

    python -m benchmarks.self_supervision.few_labels --data cells --out few --teacher dinov2s.safetensors

Every arm has ``--minutes`` of updates and the labels of ``--labelled`` training images, drawn once. ``alone``
trains the recipe ``small`` on them all that time. ``self-training`` does so for ``--share`` of the time; the
model then teaches another one for the rest, on every training image. The others pre-train the same backbone
on every training image, without labels, for ``--share`` of the time, and train the recipe from there for the
rest. ``--start`` is where the backbone starts, in all arms. How many updates fit is timed once per method:
compare on a machine that does nothing else, or with one thread.
"""

import argparse
import json
import random
from pathlib import Path

from benchmarks.self_supervision import records
from rich.console import Console

from mtvit_train.config.pretraining import PretrainConfig, read_pretrain
from mtvit_train.config.run import RunConfig, read_run
from mtvit_train.runs.pretrain import pretrain
from mtvit_train.runs.run import run
from mtvit_train.state import run_files

ALONE, SELF = "alone", "self-training"
METHODS = ("distill", "dino", "mae", "figures")
#: Settings of each method for a few hundred updates.
METHOD_SETTINGS: dict[str, tuple[str, ...]] = {
    "distill": (
        "train.optimizer=muon",
        "train.batch_size=16",
        "train.ema=0.98",
        "train.warmup=10",
        "distill.mixup=false",
    ),
    "dino": ("train.batch_size=16", "train.ema_start=0.98", "train.warmup=20", "train.backbone_lr=0.1"),
    "mae": ("train.lr=1e-3", "train.batch_size=16", "train.ema=0.98", "train.warmup=10"),
    "figures": ("train.lr=5e-4", "train.batch_size=16", "train.ema=0.98", "train.warmup=10"),
}


class Bench:
    """The data, the settings that arms share, and where their runs go."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Write the labels that arms may see."""
        self.given, self.out = given, Path(given.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.few, self.images = self.out / f"labelled-{given.labelled}", str(Path(given.data) / "train2017")
        if not self.few.exists():
            few_labels(Path(given.data), self.few, given.labelled)

    def heads(self, out: Path, start: str, steps: int, seed: int, teacher: str = "") -> RunConfig:
        """Return the settings of supervised training; with a teacher, every second image is any image."""
        sets = (
            *self.shared(start, seed),
            "train.patience=0",
            "train.evaluate_every=0",
            f"distill.teacher={teacher}",
            *self.given.heads_set,
        )
        any_image = {"path": self.images, "reader": "unlabelled", "evaluate": False, "weight": 1.0}
        tables = [{"path": str(self.few), "weight": 1.0}, any_image]
        data = tables if teacher else str(self.few)
        return read_run("small", {"data": data, "plugins": ("det",), "out": str(out), "steps": steps}, sets)

    def pretext(self, method: str, out: Path, steps: int, seed: int) -> PretrainConfig:
        """Return the settings of a pre-training: the backbone of the recipe, shown every training image."""
        heads = self.heads(self.out / "unused", self.given.start, 1, seed)
        side = self.given.canvas
        canvas = [side[0], side[0]] if method == "figures" else side  # figures need square canvases
        sets = (
            *self.shared(self.given.start, seed),
            f"model.image_size={canvas}",
            "train.evaluate_every=0",
            f"distill.teacher={self.given.teacher_name}",
            f"distill.pretrained={self.given.teacher}",
            *METHOD_SETTINGS[method],
            *self.given.set,
        )
        model = {"backbone": heads.model.backbone, "options": dict(heads.model.options)}
        overrides = {"data": (self.images,), "method": method, "out": str(out), "model": model}
        return read_pretrain(None, {**overrides, "train": {"steps": steps}}, sets)

    def shared(self, start: str, seed: int) -> tuple[str, ...]:
        """Return what all runs of a seed share."""
        threads = f"train.threads={self.given.threads}"
        return (f"model.pretrained={start}", f"train.seed={seed}", threads, "train.log_every=3")

    def arm(self, name: str, seed: int) -> dict[str, float]:
        """Train an arm; return its metrics and the minutes of both of its parts."""
        home = self.out / f"{name}-{seed}"
        kept = home / "result.json"
        if kept.exists():
            return dict(json.loads(kept.read_text()))
        start, teacher, first = self.given.start, "", 0.0 if name == ALONE else self.given.share
        if name == SELF:
            run(self.heads(home / "teacher", start, self.fit(first), seed), Console(quiet=True))
            teacher = str(home / "teacher" / run_files.MODEL)
        elif name != ALONE:
            steps = round(60 * self.given.minutes * first / self.pace_of_pretext(name))
            pretrain(self.pretext(name, home / "pretrain", steps, seed), Console(quiet=True))
            start = str(home / "pretrain" / run_files.BACKBONE)
        steps = self.fit(1 - first, teacher)
        metrics = run(self.heads(home / "heads", start, steps, seed, teacher), Console(quiet=True))
        spent = sum(records.minutes(part.parent) for part in home.glob(f"*/{run_files.RECORDS}"))
        found = {"AP": metrics["det/AP"], "AP50": metrics["det/AP50"], "minutes": spent, "updates": steps}
        kept.write_text(json.dumps(found), encoding="utf-8")
        return found

    def fit(self, share: float, teacher: str = "") -> int:
        """Return how many updates of supervised training fit into a share of the time."""
        out = self.out / ("pace-taught" if teacher else "pace-heads")
        if not out.exists():
            run(self.heads(out, self.given.start, records.TIMED, 0, teacher), Console(quiet=True))
        return round(60 * self.given.minutes * share / records.pace(out))

    def pace_of_pretext(self, method: str) -> float:
        """Return seconds of an update of a pre-training; timed once."""
        out = self.out / f"pace-{method}"
        if not out.exists():
            pretrain(self.pretext(method, out, records.TIMED, 0), Console(quiet=True))
        return records.pace(out)


def few_labels(data: Path, out: Path, count: int) -> None:
    """Write a folder of the labels of a few training images, and of all those for validation."""
    (out / "annotations").mkdir(parents=True)
    for split in ("train2017", "val2017"):
        (out / split).symlink_to((data / split).resolve())
        name = f"instances_{split}.json"
        labels = json.loads((data / "annotations" / name).read_text())
        if split == "train2017":
            kept = random.Random(0).sample(labels["images"], count)
            ids = {image["id"] for image in kept}
            shown = [a for a in labels["annotations"] if a["image_id"] in ids]
            labels = {**labels, "images": kept, "annotations": shown}
        (out / "annotations" / name).write_text(json.dumps(labels), encoding="utf-8")


def main() -> None:
    """Train every arm with every seed and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="a folder in COCO's layout")
    parser.add_argument("--out", required=True)
    parser.add_argument("--labelled", type=int, default=29)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--share", type=float, default=0.6, help="of the time, for what comes first")
    parser.add_argument("--arms", nargs="+", default=[ALONE, SELF, *METHODS], choices=[ALONE, SELF, *METHODS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--start", default="scenes", help="model.pretrained of all arms")
    parser.add_argument("--teacher", default="true", help="distill.pretrained")
    parser.add_argument("--teacher-name", default="vit_small_patch14_dinov2.lvd142m")
    parser.add_argument("--canvas", type=int, nargs=2, default=[136, 184])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="a setting of pre-trainings")
    parser.add_argument("--heads-set", action="append", default=[], help="a setting of supervised training")
    bench = Bench(parser.parse_args())
    print("| arm | seed | box AP | AP50 | minutes | updates with labels |\n|---|---|---|---|---|---|")
    for seed in bench.given.seeds:
        for name in bench.given.arms:
            found = bench.arm(name, seed)
            told = (
                f"{found['AP']:.3f} | {found['AP50']:.3f} | {found['minutes']:.1f} | {found['updates']:.0f}"
            )
            print(f"| {name} | {seed} | {told} |", flush=True)


if __name__ == "__main__":
    main()
