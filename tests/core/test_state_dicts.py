"""What wraps all keys of a state dict is found, and nothing that only some have."""

import pytest

from mtvit_core.state_dicts import common_prefix


@pytest.mark.parametrize(
    ("keys", "prefix"),
    [
        ([], ""),
        (["a", "b.c"], ""),
        (["module.a", "module.b.c"], "module."),
        (["module.model.a", "module.model.b"], "module.model."),
        (["teacher.backbone.a", "teacher.backbone.b"], "teacher.backbone."),
        (["teacher.backbone.a", "teacher.head.b"], "teacher."),
        (["module.a", "b"], ""),
        (["module.", "module.a"], ""),
        (["modules.a"], ""),
    ],
)
def test_what_all_keys_begin_with(keys: list[str], prefix: str) -> None:
    assert common_prefix(keys) == prefix
