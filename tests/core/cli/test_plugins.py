"""``mtvit plugins``, and what plugins do to the command: theirs, broken ones, a choice of them."""

import json

import mtvit_core
from mtvit_core.cli.main import main
from mtvit_core.plugins.validation import CORE_COMMANDS
from support.commands.command_cases import COMMAND, MIDDLE, refusal, run


def test_plugins_lists_tasks_and_commands(middle, install):
    install("acme-tools", COMMAND, "tools")
    text = run("plugins").stdout
    for word in ("middle", "boxes", "image", "acme-middle", "0.4", "measure", "acme-tools 1.2", "tools"):
        assert word in text
    assert "Broken" not in text


def test_plugins_speaks_json(middle, install):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    found = json.loads(run("plugins", "--json").stdout)
    middle_task = {"distribution": "acme-middle", "version": "0.4", "entry_point": "middle", "name": "middle"}
    looks = {"views": ["image", "person"], "exportable": False}
    assert found["tasks"] == [{**middle_task, "needs": ["boxes"], **looks}]
    tools = {"distribution": "acme-tools", "version": "1.2", "entry_point": "tools", "name": "measure"}
    assert found["commands"] == [tools]
    assert found["backbones"] == [
        {
            "distribution": "mtvit-core",
            "version": mtvit_core.__version__,
            "entry_point": "core",
            "name": name,
        }
        for name in ("plain", "crossvit", "mvt", "elastic", "branched")
    ]
    (broken,) = found["broken"]
    assert broken == {
        "distribution": "acme-broken",
        "version": "1.2",
        "entry_point": "late",
        "phase": "import",
        "cause": "ModuleNotFoundError: No module named 'not_there'",
        "remedy": "Reinstall acme-broken with what it needs, or uninstall it.",
        "task": "late",
    }
    (broken,) = json.loads(run("plugins", "--json", "-v").stdout)["broken"]
    assert "acme_broken.py" in broken["traceback"]


def test_plugins_shows_broken_ones_with_cause_and_on_demand_the_traceback(only_these, install, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    install("acme-broken", "raise ValueError('see [red] here')", "late")
    text = run("plugins").stdout
    for word in (
        "No task is installed",
        "acme-broken 1.2",
        "import",
        "ValueError: see [red] here",
        "Reinstall",
    ):
        assert word in text
    assert "Traceback" not in text
    for arguments in (["plugins", "-v"], ["-v", "plugins"]):
        assert "Traceback (most recent call last)" in run(*arguments).stdout


def test_plugins_lists_a_task_that_cannot_be_built_as_broken(only_these, install):
    source = MIDDLE.replace("return Head(backbone.width)", "raise RuntimeError('luck')")
    install("acme-middle", source, "middle")
    found = json.loads(run("plugins", "--json", "-v").stdout)
    (broken,) = found["broken"]
    assert found["tasks"] == []
    assert (broken["phase"], broken["cause"]) == ("build", "head raised RuntimeError: luck")
    assert "RuntimeError: luck" in broken["traceback"]


STRICT_ERROR = (
    "error: plugins: strict, but one is broken: acme-broken 1.2, entry point 'late': import failed: "
    "ModuleNotFoundError: No module named 'not_there'. Reinstall acme-broken with what it needs, or "
    "uninstall it."
)


def test_strict_by_option_ends_any_command(only_these, install, monkeypatch):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    assert refusal("--strict-plugins", "measure") == STRICT_ERROR
    listed = run("--strict-plugins", "plugins", "--json")
    assert (listed.exit_code, len(json.loads(listed.stdout)["broken"])) == (2, 1)
    assert run("plugins").exit_code == 0
    monkeypatch.setenv("MTVIT_STRICT_PLUGINS", "1")
    assert refusal("measure") == STRICT_ERROR
    assert run("plugins").exit_code == 2


def test_a_wrong_choice_of_plugins_is_one_line(only_these, monkeypatch):
    monkeypatch.setenv("MTVIT_PLUGINS", "det")
    for arguments in (["--help"], ["measure"], ["plugins"]):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr == (
            "error: MTVIT_PLUGINS: no plugin is called 'det'; installed: none. Give names of entry points or "
            "packages, comma-separated.\n"
        )


def test_help_lists_commands_of_plugins_and_warns_of_broken_ones(only_these, install):
    install("acme-tools", COMMAND, "tools")
    install("acme-broken", "import not_there", "late")
    result = run("--help")
    assert result.exit_code == 0
    for line in (
        "plugins List installed tasks",
        "predict Run a model on images",
        "measure Measure something.",
    ):
        assert line in " ".join(result.stdout.split())
    assert result.stderr == (
        "warning: acme-broken 1.2, entry point 'late': import failed: ModuleNotFoundError: No module named "
        "'not_there'. Reinstall acme-broken with what it needs, or uninstall it.\n"
    )


def test_an_error_in_a_plugins_command_is_one_line_and_v_shows_where(only_these, install):
    install("acme-tools", COMMAND, "tools")
    assert refusal("measure") == "error: file x: torn; fix it."
    result = run("-v", "measure")
    assert result.exit_code == 2
    assert "acme_tools.py" in result.stderr
    assert result.stderr.endswith("error: file x: torn; fix it.\n")


def test_an_unknown_command_names_the_nearest(only_these):
    result = run("predikt")
    assert result.exit_code == 2
    assert "No such command 'predikt'. Did you mean 'predict'?" in result.stderr


def test_plugins_may_not_take_the_names_of_own_commands():
    assert sorted(main.commands) == list(CORE_COMMANDS)
