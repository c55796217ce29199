"""Settings are followed, required or without effect; what cannot be followed is named."""

import pytest

from mtvit_core.errors import CheckpointError
from mtvit_core.published.settings import SettingRules

RULES = SettingRules(
    frozenset({"do_resize"}), {"patch_size": (16, [16, 16]), "gated": (False,)}, frozenset({"eps"})
)


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"patch_size": 16},
        {"patch_size": [16, 16], "eps": 3},
        {"more": "said"},
        {"do_sharpen": False, "gated": False},
    ],
)
def test_what_is_known_passes(found: dict[str, object]) -> None:
    RULES.check(found, "the file")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"patch_size": 14}, "the file has patch_size 14; only 16 is known here."),
        ({"gated": True}, "the file has gated True; only False is known here."),
        ({"gated": 0}, "the file has gated 0; only False is known here."),
        ({"do_sharpen": True}, "the file has do_sharpen True, a step that is not known here."),
    ],
)
def test_what_cannot_be_followed_is_named(found: dict[str, object], words: str) -> None:
    with pytest.raises(CheckpointError) as error:
        RULES.check(found, "the file")
    assert str(error.value) == words


def test_every_setting_with_a_rule_is_known() -> None:
    assert RULES.known == {"do_resize", "patch_size", "gated", "eps"}
