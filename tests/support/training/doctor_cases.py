"""``mtvit-train doctor`` run in this process, on a data set that a test edits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from mtvit_train.cli.main import main


def doctor(data: Path, *arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["doctor", "--data", str(data), *arguments])


def examined(data: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code and the JSON object."""
    result = doctor(data, "--json", *arguments)
    return result.exit_code, json.loads(result.output)


def change(data: Path, edit: Callable[[dict[str, Any]], object], kind: str = "instances") -> Path:
    """Edit one annotation file of the training split."""
    path = data / "annotations" / f"{kind}_train2017.json"
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))
    return path


def messages(report: dict[str, Any], level: str, check: str) -> list[str]:
    """What a check finds at a level."""
    return [f["message"] for f in report["findings"] if (f["level"], f["check"]) == (level, check)]
