"""How many threads a process may use, and how they wait."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mtvit_core import threads

CHOSEN = (
    "import os; from mtvit_core.threads import wait_passively; wait_passively(); "
    "print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"
)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("150000 100000\n", 1.5), ("max 100000\n", math.inf), ("50000 100000\n", 0.5), ("torn", math.inf)],
)
def test_the_quota_of_a_container_is_read(
    text: str, cores: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(threads, "CPU_MAX", tmp_path / "cpu.max")
    assert threads.quota() == cores
    assert threads.usable_cores() == max(1, math.ceil(min(len(os.sched_getaffinity(0)), cores)))


def test_older_control_groups_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "CPU_MAX", tmp_path / "none")
    for name, text in (("CFS_QUOTA", "200000"), ("CFS_PERIOD", "100000")):
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(threads, name, tmp_path / name)
    assert threads.quota() == 2
    (tmp_path / "CFS_QUOTA").write_text("-1\n")
    assert threads.quota() == math.inf


@pytest.mark.parametrize(
    ("given", "policy"),
    [
        ({}, f"passive {threads.SPINS}"),
        ({"OMP_WAIT_POLICY": "active"}, "active None"),
        ({"GOMP_SPINCOUNT": "0"}, "None 0"),
    ],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(given: dict[str, str], policy: str) -> None:
    own = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    clean = {key: value for key, value in os.environ.items() if key not in own}
    done = subprocess.run([sys.executable, "-c", CHOSEN], env=clean | given, capture_output=True, text=True)
    assert done.stdout.strip() == policy, done.stderr


def test_it_is_too_late_once_torch_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    threads.wait_passively()
    assert "OMP_WAIT_POLICY" not in os.environ
