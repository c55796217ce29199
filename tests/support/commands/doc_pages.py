"""The pages of the docs, their sections and their tables."""

import re

from support.commands.packages import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def text_of(name: str) -> str:
    """A page below ``docs``."""
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Text of every second-level section by its heading."""
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """Cells of all table rows of a text, without heads."""
    lines = text.splitlines()
    tables = [line for i, line in enumerate(lines) if line.startswith("|") and not _is_head(lines, i)]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables]


def _is_head(lines: list[str], i: int) -> bool:
    return lines[i].startswith("|---") or (i + 1 < len(lines) and lines[i + 1].startswith("|---"))
