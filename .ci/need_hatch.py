"""Stops when hatch is too old: before 1.18 it ignores `requires-hatch`, and before 1.16 it knows no workspaces."""

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
    settings = tomllib.loads((Path(__file__).parent.parent / "hatch.toml").read_text(encoding="utf-8"))
    needed = re.findall(r"\d+", settings["requires-hatch"])
    found = re.findall(r"\d+", subprocess.run([hatch, "--version"], capture_output=True, text=True).stdout)
    if [int(n) for n in found[:2]] >= [int(n) for n in needed]:
        return None
    return f"hatch.toml: hatch {'.'.join(found)} is too old, {'.'.join(needed)} is needed. Fix: pip install --upgrade hatch"


sys.exit(main())
