"""Every table of the docs is drawn as one: a head, then rows without a gap."""

import re
from pathlib import Path

import pytest

from support.commands.doc_pages import PAGES
from support.commands.packages import ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_row_belongs_to_a_head(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    headless = [rows.splitlines()[0] for rows in tables if not re.match(r".*\n\|(?::?-+:?\|)+\n", rows)]
    assert not headless
