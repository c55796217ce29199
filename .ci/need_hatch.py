"""Stops when hatch is too old: before 1.18 it ignores `requires-hatch`, before 1.16 also `workspace`."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path


def main() -> str | None:
    """Returns what is wrong, or None."""
    hatch = shutil.which("hatch")
    if hatch is None:
        return "hatch: not found on PATH, so its version is unknown. Fix: pip install --upgrade hatch"
    settings = Path(__file__).parent.parent / "hatch.toml"
    needs = tomllib.loads(settings.read_text(encoding="utf-8"))["requires-hatch"]
    found = re.findall(r"\d+", subprocess.run([hatch, "--version"], capture_output=True, text=True).stdout)
    if [int(n) for n in found[:2]] >= [int(n) for n in re.findall(r"\d+", needs)]:
        return None
    version = ".".join(found)
    return f"hatch.toml: hatch {version} is too old, allowed is {needs}. Fix: pip install -U hatch"


sys.exit(main())
