"""No file tells of one machine or network."""

import re
import subprocess
from pathlib import Path

import pytest

from support.commands.packages import ROOT

PUBLIC_HOSTS = {
    "arxiv.org",
    "cocodataset.org",
    "git-lfs.github.com",
    "github.com",
    "hatch.pypa.io",
    "huggingface.co",
    "keepachangelog.com",
    "pytorch.org",
    "semver.org",
    "www.apache.org",
    "www.w3.org",
}
#: This machine itself, and names that exist for examples (RFC 2606).
NOWHERE = re.compile(r"(127(\.0\.0\.1)?|0\.0\.0\.0|localhost|([\w-]+\.)*example(\.(org|com))?)")
PRIVATE = {
    "a path of one machine": re.compile(
        r"(?<![\w.:/~$}{*)-])/(?:home|root|Users|work|tmp|opt|mnt|media|scratch|srv|var|workspace)/[\w.-]+"
    ),
    "a private host": re.compile(r"\b[\w-]+\.(?:internal|local|lan|corp|intranet)\b(?!\()"),
    "an address": re.compile(
        r"(?<![\w.])(?!127\.0\.0\.1|0\.0\.0\.0|192\.0\.2\.)(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"
    ),
}
URL_HOST = re.compile(r"https?://([\w.-]+)")


def tracked() -> list[Path]:
    """All text files under version control, this one aside: it has to spell what it looks for."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout: no list of tracked files")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    kinds = {".py", ".toml", ".md", ".ini", ".json", ".sh", ".txt", ".yml", ".yaml", ".cfg", ""}
    return [
        path for path in paths if path.suffix in kinds and path.is_file() and path != Path(__file__).resolve()
    ]


def private(text: str) -> list[str]:
    """What a text tells of one machine or network."""
    found = [
        f"{match[0]!r} is {what}" for what, pattern in PRIVATE.items() for match in pattern.finditer(text)
    ]
    hosts = {host.rstrip(".") for host in URL_HOST.findall(text)} - PUBLIC_HOSTS
    hosts = {host for host in hosts if not NOWHERE.fullmatch(host)}
    return found + [f"{host!r} is a host not in PUBLIC_HOSTS" for host in sorted(hosts)]


def test_files_tell_of_no_machine_and_no_network() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {finding}"
        for path in tracked()
        for finding in private(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "open('/home/someone/run')",
        "see /work/notes",
        "ssh gpu7.internal",
        "tcp://10.1.2.3:29500",
        "http://wiki.acme.io",
    ],
)
def test_what_counts_as_private(text: str) -> None:
    assert private(text)


@pytest.mark.parametrize(
    "text", ["threading.local()", "v1.2.3", "127.0.0.1", "runs/tmp/x", "https://arxiv.org/abs/1"]
)
def test_what_does_not_count_as_private(text: str) -> None:
    assert not private(text)
