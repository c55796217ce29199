"""Plugins are loaded from real entry points of packages made on the spot; every message is quoted."""

import pytest

from mtvit_core.errors import PluginError
from mtvit_core.plugins.registry import Registry
from support.commands.plugin_sources import HOOK, returning, task_plugin


def complaint(found: Registry) -> str:
    """Return what is said about the only broken plugin, after trying all hooks."""
    assert found.tasks is not None
    assert found.commands is not None
    (broken,) = found.broken
    return str(broken)


def test_tasks_come_with_their_origin_in_a_fixed_order(install, registry):
    install("zebra-depth", task_plugin("depth"), "depth")
    install("acme-lines", task_plugin("lines"), "lines", "0.4")
    found = registry()
    assert list(found.tasks) == ["lines", "depth"]
    lines = found.tasks["lines"]
    assert (lines.name, lines.cls.__name__) == ("lines", "LinesTask")
    assert (lines.distribution, lines.version, lines.entry_point) == ("acme-lines", "0.4", "lines")
    assert found.broken == ()
    assert list(found.choose(["depth", "lines"])) == ["depth", "lines"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param(
            "import not_there",
            "acme 1.2, entry point 'odd': import failed: ModuleNotFoundError: No module named 'not_there'"
            ". Reinstall acme with what it needs, or uninstall it.",
            id="import",
        ),
        pytest.param(
            "raise SystemExit(3)",
            "acme 1.2, entry point 'odd': import failed: SystemExit: 3. "
            "Reinstall acme with what it needs, or uninstall it.",
            id="exit",
        ),
        pytest.param(
            HOOK.format(body="return 1").replace("mtvit_task", "mtvit_tasks"),
            "acme 1.2, entry point 'odd': hooks failed: there is no hook 'mtvit_tasks', only mtvit_task, "
            "mtvit_commands, mtvit_published, mtvit_backbones, mtvit_readers, mtvit_transforms, "
            "mtvit_weightings. Rename it. Did you mean 'mtvit_task'?",
            id="misspelt",
        ),
        pytest.param(
            HOOK.format(body="return 1").replace("mtvit_task()", "mtvit_task(config)"),
            "acme 1.2, entry point 'odd': hooks failed: hookimpl definition: mtvit_task(config), Argument(s) "
            "{'config'} are declared in the hookimpl but can not be found in the hookspec. "
            "Use the signatures of mtvit_core.plugins.hookspecs: mtvit_task(), mtvit_commands(), "
            "mtvit_published(), mtvit_backbones(), mtvit_readers(), mtvit_transforms(), mtvit_weightings().",
            id="arguments",
        ),
        pytest.param(
            "def mtvit_task(): return 1",
            "acme 1.2, entry point 'odd': hooks failed: function 'mtvit_task' is not marked as a hook. "
            "Put @hookimpl above it, or rename it.",
            id="unmarked",
        ),
        pytest.param(
            "answer = 42",
            "acme 1.2, entry point 'odd': hooks failed: it implements no hook; the hooks are mtvit_task, "
            "mtvit_commands, mtvit_published, mtvit_backbones, mtvit_readers, mtvit_transforms, "
            "mtvit_weightings. Mark a "
            "function of that name with "
            "@mtvit_core.hookspecs.hookimpl.",
            id="nothing",
        ),
        pytest.param(
            HOOK.format(body="return int"),
            "acme 1.2, entry point 'odd': task failed: mtvit_task returned <class 'int'>, not a subclass of "
            "mtvit_core.Task. Return the class itself, not an object of it or its name.",
            id="not a task",
        ),
        pytest.param(
            HOOK.format(body="pass"),
            "acme 1.2, entry point 'odd': task failed: mtvit_task returned None, not a subclass of "
            "mtvit_core.Task. Return the class itself, not an object of it or its name.",
            id="no return",
        ),
        pytest.param(
            HOOK.format(body="raise RuntimeError('out of\\n luck')"),
            "acme 1.2, entry point 'odd': task failed: RuntimeError: out of luck. "
            "Reinstall acme with what it needs, or uninstall it.",
            id="raises",
        ),
        pytest.param(
            returning("OddTask", "api = 2"),
            "acme 1.2, entry point 'odd': task failed: OddTask.api is 2, but this mtvit-core knows contract "
            "version 1. Install a release of the plugin and one of mtvit-core that share the version.",
            id="api",
        ),
        pytest.param(
            returning("OddTask").replace("    api = 1\n", ""),
            "acme 1.2, entry point 'odd': task failed: OddTask does not say which contract version it was "
            "written "
            "for. Write `api = 1`, the version of this mtvit-core, and look whether the plugin fits it.",
            id="no api",
        ),
        pytest.param(
            returning("OddTask", 'name = "float"'),
            "acme 1.2, entry point 'odd': task failed: OddTask.name is 'float', which is taken in every "
            "model. "
            "Rename the task.",
            id="taken by torch",
        ),
        pytest.param(
            returning("OddTask", 'name = "backbone"'),
            "acme 1.2, entry point 'odd': task failed: OddTask.name is 'backbone', which is taken in every "
            "model. Rename the task.",
            id="taken by mtvit",
        ),
        pytest.param(
            returning("OddTask").replace("    size: int = 3", '    model_config = {"extra": "ignore"}'),
            "acme 1.2, entry point 'odd': task failed: OddTask.Config takes unknown settings, so that a "
            "misspelt "
            "one would do nothing. Leave `extra` out of its model_config.",
            id="unknown settings",
        ),
        pytest.param(
            returning("OddTask", 'views = {"image"}'),
            "acme 1.2, entry point 'odd': task failed: OddTask.views is {'image'}, not a frozenset of image, "
            'person. Write for instance `views = frozenset({"image"})`.',
            id="views",
        ),
        pytest.param(
            returning("OddTask", 'exportable = "yes"'),
            "acme 1.2, entry point 'odd': task failed: OddTask.exportable is 'yes', not True or False. "
            "Write one "
            "of them.",
            id="exportable",
        ),
        pytest.param(
            returning("OddTask", "linkable = None"),
            "acme 1.2, entry point 'odd': task failed: OddTask.linkable is None, not True or False. Write "
            "one of them.",
            id="linkable",
        ),
        pytest.param(
            returning("OddTask").replace("    Config = OddConfig\n", "").replace("def loss", "def lose"),
            "acme 1.2, entry point 'odd': task failed: OddTask lacks Config, loss. "
            "Define what mtvit_core.tasks.task.Task asks for.",
            id="incomplete",
        ),
        pytest.param(
            returning("OddTask", 'name = "Odd One"'),
            "acme 1.2, entry point 'odd': task failed: OddTask.name is 'Odd One'; allowed: lower-case letters"
            ", digits and _, a letter first. Rename it; its name is the prefix of its config table, and of "
            "the losses and metrics of a task.",
            id="name",
        ),
        pytest.param(
            returning("OddTask", "Config = dict"),
            "acme 1.2, entry point 'odd': task failed: OddTask.Config is <class 'dict'>, not a subclass of "
            "mtvit_core.TaskConfig. Write `class Config(TaskConfig)` with one field per setting.",
            id="config",
        ),
        pytest.param(
            returning("OddTask", 'needs = "boxes"'),
            "acme 1.2, entry point 'odd': task failed: OddTask.needs is 'boxes', not a frozenset of kinds of "
            'label. Write for instance `needs = frozenset({"boxes"})`.',
            id="needs",
        ),
        pytest.param(
            HOOK.format(body="return 'evaluate'").replace("mtvit_task", "mtvit_commands"),
            "acme 1.2, entry point 'odd': commands failed: mtvit_commands returned 'evaluate', not a list of "
            "named click commands. Return a list, for instance `return [evaluate]`.",
            id="commands",
        ),
        pytest.param(
            "import click\n"
            + HOOK.format(body="return [click.Command('predict')]").replace("mtvit_task", "mtvit_commands"),
            "acme 1.2, entry point 'odd': commands failed: 'predict' is a command of mtvit itself. "
            "Give the command another name.",
            id="core command",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_harms_no_other(install, registry, source, message):
    install("acme", source)
    install("zebra-depth", task_plugin("depth"), "depth")
    found = registry()
    assert complaint(found) == message
    assert list(found.tasks) == ["depth"]
    assert list(found.choose(["depth"])) == ["depth"]


def test_a_raising_plugin_keeps_its_traceback(install, registry):
    install("acme", "raise RuntimeError('luck')")
    found = registry()
    complaint(found)
    assert "acme.py" in found.broken[0].traceback
    assert "RuntimeError: luck" in found.broken[0].traceback


def test_a_name_that_two_plugins_claim_goes_to_neither(install, registry):
    install("acme-det", task_plugin("det"), "det", "3")
    install("zebra-det", task_plugin("det"), "mine", "4")
    install("zebra-depth", task_plugin("depth"), "depth")
    found = registry()
    assert list(found.tasks) == ["depth"]
    assert [str(broken) for broken in found.broken] == [
        "acme-det 3, entry point 'det': task failed: 'det' is also claimed by zebra-det 4, entry point 'mine'"
        ". Uninstall all but one of them.",
        "zebra-det 4, entry point 'mine': task failed: 'det' is also claimed by acme-det 3, entry point 'det'"
        ". Uninstall all but one of them.",
    ]
    with pytest.raises(PluginError) as error:
        found.choose(["det"])
    assert str(error.value) == f"tasks: 'det' is broken: {found.broken[0]}"


def test_commands_come_with_their_origin(install, registry):
    source = "import click\n" + HOOK.format(body="return [click.Command('evaluate')]")
    install("acme", source.replace("mtvit_task", "mtvit_commands"))
    (command,) = registry().commands.values()
    assert (command.name, command.distribution, command.command.name) == ("evaluate", "acme", "evaluate")


def test_two_plugins_may_not_bring_the_same_command(install, registry):
    source = "import click\n" + HOOK.format(body="return [click.Command('evaluate')]")
    for package in ("acme", "zebra"):
        install(package, source.replace("mtvit_task", "mtvit_commands"))
    found = registry()
    assert found.commands == {}
    assert str(found.broken[0]) == (
        "acme 1.2, entry point 'odd': commands failed: 'evaluate' is also claimed by zebra 1.2, "
        "entry point 'odd'. Uninstall all but one of them."
    )


def test_naming_a_broken_task_is_fatal_and_says_why(install, registry):
    install("mtvit-pose", "import not_there", "pose", "0.3.1")
    with pytest.raises(PluginError) as error:
        registry().choose(["pose"])
    assert str(error.value) == (
        "tasks: 'pose' is broken: mtvit-pose 0.3.1, entry point 'pose': import failed: ModuleNotFoundError: "
        "No module named 'not_there'. Reinstall mtvit-pose with what it needs, or uninstall it."
    )


def test_broken_commands_leave_the_task_usable(install, registry):
    commands = HOOK.format(body="return 'evaluate'").replace("mtvit_task", "mtvit_commands")
    install("acme-depth", task_plugin("depth") + commands, "depth")
    found = registry()
    complaint(found)
    assert list(found.choose(["depth"])) == ["depth"]


def test_an_unknown_task_lists_the_installed_ones_and_the_nearest(install, registry):
    install("acme-depth", task_plugin("depth"), "depth")
    install("acme-lines", task_plugin("lines"), "lines")
    with pytest.raises(PluginError) as error:
        registry().choose(["lines", "dept"])
    assert str(error.value) == (
        "tasks: 'dept' is not installed; installed: depth, lines. Did you mean 'depth'? "
        "Tasks come with plugin packages: see `mtvit plugins`."
    )


def test_with_no_plugin_the_message_says_so(registry):
    with pytest.raises(PluginError, match=r"tasks: 'det' is not installed; installed: none\. Tasks come"):
        registry().choose(["det"])


def test_a_task_is_named_once(install, registry):
    install("acme-depth", task_plugin("depth"), "depth")
    with pytest.raises(PluginError, match=r"tasks: 'depth' is named twice; name each task once\."):
        registry().choose(["depth", "depth"])


def test_an_entry_point_without_metadata_is_still_named(tmp_path, registry):
    info = tmp_path / "site" / "ghost-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[mtvit]\nodd = not_there\n")
    assert "entry point 'odd': import failed" in complaint(registry())


def test_published_formats_that_are_none(install, registry):
    install(
        "odd", "from mtvit_core import hookimpl\n@hookimpl\ndef mtvit_published():\n    return ['yolos']\n"
    )
    found = registry()
    assert not found.published
    (broken,) = found.broken
    assert str(broken) == (
        "odd 1.2, entry point 'odd': published failed: mtvit_published returned ['yolos'], not a list of "
        "PublishedFormat objects. Return a list of objects, for instance `return [Yolos()]`."
    )
