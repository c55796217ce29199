"""A backbone by name: the family that its prefix names makes it; what goes wrong there is one line."""

import pytest

import mtvit_core
from mtvit_core.errors import ConfigError, PluginError

HOOK = """
from mtvit_core import BackboneFamily, create_backbone, hookimpl

class Hexa(BackboneFamily):
    name = "hexa"
    api = 1
    def create(self, name, canvas, pretrained, options):
        {body}

@hookimpl
def mtvit_backbones():
    return [Hexa]
"""
BROKEN = "backbone 'hexa:big': its family is broken: acme 1.2, entry point 'odd': create "
TINY = {"embed_dim": 24, "depth": 1, "num_heads": 2}

pytestmark = pytest.mark.usefixtures("only_these")


def complaint(kind: type[Exception], name: str = "hexa:big") -> str:
    with pytest.raises(kind) as error:
        mtvit_core.create_backbone(name, (32, 32), options=TINY)
    return str(error.value)


def test_a_name_of_no_family_lists_those_that_are_there(install):
    install("acme", HOOK.format(body="pass"))
    assert complaint(PluginError, "hexo:big") == (
        "backbone 'hexo:big': no family 'hexo' is installed; installed: plain, crossvit, mvt, elastic, "
        "branched, hexa. "
        "Did you mean 'hexa'? Families come with plugin packages: see `mtvit plugins`; a name without a "
        "colon is timm's."
    )


def test_a_family_that_is_broken_says_so_by_its_name(install):
    install("acme", HOOK.format(body="pass").replace("return [Hexa]", "return Hexa"))
    found = complaint(PluginError)
    assert found.startswith(
        "backbone 'hexa:big': no family 'hexa' is installed; installed: plain, crossvit, mvt, elastic, "
        "branched. "
        "Families"
    )
    assert " Broken: acme 1.2, entry point 'odd': backbones failed: mtvit_backbones returned" in found


def test_names_without_a_family_are_timms(install, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # without waiting for the hub
    install("acme", HOOK.format(body="raise ZeroDivisionError"))
    made = mtvit_core.create_backbone("vit_tiny_patch16_224", (32, 32), options=TINY)
    assert made.name == "vit_tiny_patch16_224"
    assert "timm knows no model 'hexa'" in complaint(ConfigError, "hexa")
    assert "'hf-hub:nobody/nothing': cannot be had from the hub" in complaint(
        ConfigError, "hf-hub:nobody/nothing"
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "raise ZeroDivisionError('once\\n more.')",
            "raised ZeroDivisionError: once more. Fix the plugin, or take another backbone.",
        ),
        ("return 3", "returned a int, not a mtvit_core.Backbone. Return an object of a subclass."),
        (
            "return create_backbone('vit_tiny_patch16_224', canvas, pretrained, options)",
            f"made 'vit_tiny_patch16_224' with the options {TINY}, not {TINY}; a checkpoint could not be "
            "read. Keep both as given.",
        ),
    ],
)
def test_a_family_that_makes_something_else_is_named(install, body, message):
    install("acme", HOOK.format(body=body))
    assert complaint(PluginError) == BROKEN + message


def test_what_a_family_refuses_is_passed_on(install):
    install("acme", HOOK.format(body="raise __import__('mtvit_core').ConfigError('backbone: too big')"))
    assert complaint(ConfigError) == "backbone: too big"
