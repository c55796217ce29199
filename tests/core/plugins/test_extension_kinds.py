"""Hooks for the trainer: what they return is checked like tasks are; every message is quoted."""

import pytest

HOOK = """
from mtvit_core.plugins.hookspecs import hookimpl
from mtvit_core.tasks.task import TaskConfig
from mtvit_core.plugins.sample_transform import Transform

class Blur(Transform):
    name = "blur"
    api = 1
    Config = TaskConfig
    def __call__(self, image, annotations, rng): return image, annotations

@hookimpl
def mtvit_transforms():
    return [Blur]
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "return [Blur]",
            "return Blur",
            "mtvit_transforms returned <class 'acme.Blur'>, not a list of subclasses of "
            "mtvit_core.plugins.sample_transform.Transform. Return a list of classes, for instance "
            "`return [MyTransform]`.",
        ),
        (
            "    api = 1\n",
            "",
            "Blur does not say which contract version it was written for. Write `api = 1`, the version of "
            "this "
            "mtvit-core, and look whether the plugin fits it.",
        ),
        (
            "api = 1",
            "api = 2",
            "Blur.api is 2, but this mtvit-core knows contract version 1. Install a release of the plugin "
            "and one "
            "of mtvit-core that share the version.",
        ),
        (
            "def __call__",
            "def call",
            "Blur lacks __call__. Define what mtvit_core.plugins.sample_transform.Transform asks for.",
        ),
        (
            "Config = TaskConfig",
            "Config = dict",
            "Blur.Config is <class 'dict'>, not a subclass of mtvit_core.TaskConfig. Write `class "
            "Config(TaskConfig)` with one field per setting.",
        ),
    ],
)
def test_a_part_that_breaks_the_contract_is_reported(install, registry, old, new, message):
    install("acme", HOOK.replace(old, new))
    install("zebra", HOOK.replace("blur", "noise"), "noise")
    found = registry()
    assert list(found.extensions["transform"]) == ["noise"]
    assert [str(broken) for broken in found.broken] == [
        f"acme 1.2, entry point 'odd': extensions failed: {message}"
    ]


def test_two_plugins_may_not_bring_the_same_part(install, registry):
    install("acme", HOOK)
    install("zebra", HOOK)
    found = registry()
    assert found.extensions["transform"] == {}
    assert str(found.broken[0]) == (
        "acme 1.2, entry point 'odd': extensions failed: 'blur' is also claimed by zebra 1.2, entry point "
        "'odd'. Uninstall all but one of them."
    )
