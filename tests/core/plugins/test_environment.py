"""Which plugins are loaded, how strictly, and what is shown of them: by environment variables."""

import pytest

from mtvit_core.errors import PluginError
from mtvit_core.model.build import make_tasks
from mtvit_core.plugins import registry
from mtvit_core.structures.categories import COCO_CATEGORIES
from support.commands.plugin_sources import HOOK, task_plugin

pytestmark = pytest.mark.usefixtures("only_these")


def test_strict_makes_any_broken_plugin_fatal(install, monkeypatch):
    install("acme", "import not_there")
    install("acme-lines", "raise SystemExit", "lines")
    install("zebra-depth", task_plugin("depth"), "depth")
    assert list(registry.tasks(["depth"])) == ["depth"]
    registry.registry.cache_clear()
    monkeypatch.setenv("MTVIT_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError) as error:
        make_tasks(["depth"], COCO_CATEGORIES)
    assert str(error.value) == (
        "plugins: strict, but one is broken: acme 1.2, entry point 'odd': import failed: "
        "ModuleNotFoundError: "
        "No module named 'not_there'. Reinstall acme with what it needs, or uninstall it. (2 more, see "
        "`mtvit "
        "plugins`)"
    )


@pytest.mark.parametrize("value", ["", "0"])
def test_strict_is_off_where_the_variable_says_so(install, monkeypatch, value):
    install("acme", "import not_there")
    install("zebra-depth", task_plugin("depth"), "depth")
    monkeypatch.setenv("MTVIT_STRICT_PLUGINS", value)
    assert list(registry.tasks(["depth"])) == ["depth"]


@pytest.mark.parametrize(
    ("chosen", "tasks"),
    [("depth", ["depth"]), ("acme-lines , depth", ["lines", "depth"]), ("", []), (" , ", [])],
)
def test_a_variable_limits_what_is_loaded(install, monkeypatch, chosen, tasks):
    install("acme", "raise SystemExit('is loaded all the same')")
    install("acme-lines", task_plugin("lines"), "lines")
    install("zebra-depth", task_plugin("depth"), "depth")
    monkeypatch.setenv("MTVIT_PLUGINS", chosen)
    assert list(registry.installed_tasks()) == tasks
    assert registry.registry().broken == ()


def test_the_variable_must_name_what_is_installed(install, monkeypatch):
    install("zebra-depth", task_plugin("depth"), "depth")
    monkeypatch.setenv("MTVIT_PLUGINS", "dept")
    with pytest.raises(PluginError) as error:
        registry.installed_tasks()
    assert str(error.value) == (
        "MTVIT_PLUGINS: no plugin is called 'dept'; installed: depth, zebra-depth. Did you mean 'depth'? "
        "Give "
        "names of entry points or packages, comma-separated."
    )


def test_a_variable_shows_the_calls_of_hooks(install, monkeypatch, capsys):
    install("acme", HOOK.format(body="raise RuntimeError('luck')"))
    install("zebra-depth", task_plugin("depth"), "depth")
    monkeypatch.setenv("MTVIT_TRACE_PLUGINS", "1")
    assert list(registry.installed_tasks()) == ["depth"]
    first, second = capsys.readouterr().err.splitlines()
    start = "trace: acme 1.2, entry point 'odd': mtvit_task() raised RuntimeError('luck') in "
    assert first.startswith(start)
    assert first.endswith(" ms")
    assert second.startswith(
        "trace: zebra-depth 1.2, entry point 'depth': mtvit_task() returned <class "
        "'zebra_depth.DepthTask'> in "
    )
