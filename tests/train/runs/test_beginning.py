"""What is left of a run that ends before its first update."""

from pathlib import Path

import pytest

from mtvit_core.errors import ConfigError
from mtvit_train.distributed.stop_signals import StopAsked
from mtvit_train.runs.beginning import beginning
from mtvit_train.state.atomic_folder import DiskError


def begin(out: Path, error: Exception, *, fresh: bool) -> None:
    with beginning(out, fresh=fresh):
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text("{}")
        raise error


def fail(out: Path, error: Exception, *, fresh: bool = True) -> None:
    with pytest.raises(type(error)):
        begin(out, error, fresh=fresh)


@pytest.mark.parametrize("error", [ConfigError("no"), ValueError("no")])
def test_an_error_takes_the_folder_with_it(error: Exception, tmp_path: Path) -> None:
    fail(tmp_path / "out", error)
    assert not list(tmp_path.iterdir())


def test_new_parents_go_too_and_those_that_were_there_stay(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    fail(tmp_path / "runs" / "today" / "out", ConfigError("no"))
    assert (tmp_path / "runs").is_dir()
    assert not list((tmp_path / "runs").iterdir())


def test_a_parent_that_another_run_uses_stays(tmp_path: Path) -> None:
    today = tmp_path / "today"

    def begin_beside_another() -> None:
        with beginning(today / "out", fresh=True):
            (today / "out").mkdir(parents=True)
            (today / "theirs").mkdir()
            raise ConfigError("no")

    with pytest.raises(ConfigError):
        begin_beside_another()
    assert list(today.iterdir()) == [today / "theirs"]


def test_a_folder_that_was_there_stays_empty(tmp_path: Path) -> None:
    fail(tmp_path, ConfigError("no"))
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_a_link_to_a_folder_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "disk")
    fail(tmp_path / "out", ConfigError("no"))
    assert (tmp_path / "out").is_symlink()
    assert not list((tmp_path / "disk").iterdir())


@pytest.mark.parametrize("error", [StopAsked("SIGTERM"), DiskError("full")])
def test_what_can_go_on_keeps_its_folder(error: Exception, tmp_path: Path) -> None:
    fail(tmp_path / "out", error)
    assert (tmp_path / "out" / "config.json").is_file()


def test_what_is_not_of_this_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("kept")
    fail(tmp_path, ConfigError("not empty"))
    assert (tmp_path / "theirs").read_text() == "kept"


def test_a_run_that_goes_on_keeps_its_folder(tmp_path: Path) -> None:
    fail(tmp_path / "out", ConfigError("no"), fresh=False)
    assert (tmp_path / "out" / "config.json").is_file()
