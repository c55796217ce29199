"""Where an exported model is: a file, or the folder of an export; needs no torch."""

from pathlib import Path

from mtvit_core.deploy.runtime.session import RUNTIMES

#: Report of an export, beside its model.
REPORT = "export.json"


def exported_file(path: str | Path) -> Path | None:
    """Return the exported file that a path means, itself or in the folder of an export, or None."""
    if not isinstance(path, str | Path):
        return None  # what reads checkpoints says what may come
    file = Path(path)
    if file.is_dir() and (file / REPORT).is_file():
        return next((f for ending in RUNTIMES if (f := file / f"model{ending}").is_file()), None)
    return file if file.suffix in RUNTIMES else None
