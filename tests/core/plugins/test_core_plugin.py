"""Families of backbones come by one hook, core's own too; broken ones harm no other."""

import pytest

import mtvit_core
from mtvit_core.backbones.plain.vit import PlainBackbone
from mtvit_core.plugins import registry as plugin_registry

HOOK = """
from mtvit_core import BackboneFamily, hookimpl

class Hexa(BackboneFamily):
    name = "hexa"
    api = 1
    def create(self, name, canvas, pretrained, options): raise NotImplementedError

@hookimpl
def mtvit_backbones():
    return [Hexa]
"""
OURS = ["plain", "crossvit", "mvt", "elastic", "branched"]
TINY = {"embed_dim": 24, "depth": 1, "num_heads": 2}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "return [Hexa]",
            "return Hexa",
            "mtvit_backbones returned <class 'acme.Hexa'>, not a list of subclasses of "
            "mtvit_core.BackboneFamily. Return a list of classes, for instance `return [MyFamily]`.",
        ),
        (
            "return [Hexa]",
            "return [Hexa()]",
            "mtvit_backbones returned [<acme.Hexa object>], not a list of subclasses of "
            "mtvit_core.BackboneFamily. Return a list of classes, for instance `return [MyFamily]`.",
        ),
        (
            "    api = 1\n",
            "",
            "Hexa does not say which contract version it was written for. Write `api = 1`, the version of "
            "this mtvit-core, and look whether the plugin fits it.",
        ),
        (
            "api = 1",
            "api = 2",
            "Hexa.api is 2, but this mtvit-core knows contract version 1. Install a release of the plugin "
            "and one of mtvit-core that share the version.",
        ),
        ("def create", "def make", "Hexa lacks create. Define what BackboneFamily asks for."),
        ('    name = "hexa"\n', "", "Hexa lacks name. Define what BackboneFamily asks for."),
        (
            '"hexa"',
            '"Hexa-ViT"',
            "Hexa.name is 'Hexa-ViT'; allowed: lower-case letters, digits and _, a letter first. Rename it; "
            "its name is the prefix of the names of its backbones.",
        ),
        (
            '"hexa"',
            '"plain"',
            "'plain' is a family of backbones of mtvit itself. Give the family another name.",
        ),
        ("return [Hexa]", "raise ZeroDivisionError", None),
    ],
)
def test_a_broken_family_is_reported_and_harms_no_other(install, registry, old, new, message):
    install("acme", HOOK.replace(old, new))
    install("zebra", HOOK.replace("hexa", "stripes"), "stripes")
    found = registry()
    assert list(found.families) == [*OURS, "stripes"]
    (broken,) = found.broken
    expected = message or "ZeroDivisionError. Reinstall acme with what it needs, or uninstall it."
    said = str(broken).partition(" object at 0x")
    text = str(broken) if not said[1] else f"{said[0]} object>{said[2].partition('>')[2]}"
    assert text == f"acme 1.2, entry point 'odd': backbones failed: {expected}"


def test_two_plugins_may_not_bring_the_same_family(install, registry):
    install("acme", HOOK)
    install("zebra", HOOK, "hexa")
    found = registry()
    assert list(found.families) == OURS
    assert [broken.cause for broken in found.broken] == [
        "'hexa' is also claimed by zebra 1.2, entry point 'hexa'",
        "'hexa' is also claimed by acme 1.2, entry point 'odd'",
    ]


@pytest.mark.parametrize("value", [None, "", "odd"])
def test_plain_vits_are_there_whatever_is_chosen(only_these, install, monkeypatch, value):
    install("acme", HOOK)
    if value is not None:
        monkeypatch.setenv("MTVIT_PLUGINS", value)
    assert list(plugin_registry.registry().families) == (OURS if value == "" else [*OURS, "hexa"])
    made = mtvit_core.create_backbone("vit_tiny_patch16_224", (32, 32), options=TINY)
    assert isinstance(made, PlainBackbone)
    origin = plugin_registry.registry().families["plain"]
    assert origin.where == f"mtvit-core {mtvit_core.__version__}, entry point 'core'"
