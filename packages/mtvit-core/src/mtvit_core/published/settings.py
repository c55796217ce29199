"""What becomes of each setting of a published checkpoint: followed, required, or without effect."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mtvit_core.errors import CheckpointError


@dataclass(frozen=True)
class SettingRules:
    """Rules for one file.

    Attributes:
        followed: Settings that the converted model follows.
        required: Values of settings that it cannot follow otherwise; the first is named in messages.
        idle: Settings that change no prediction.
    """

    followed: frozenset[str] = frozenset()
    required: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    idle: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """All settings that there is a rule for."""
        return frozenset({*self.followed, *self.required, *self.idle})

    def check(self, found: Mapping[str, Any], what: str) -> None:
        """Refuse what cannot be followed, and unknown steps; other unknown settings are ignored.

        Args:
            found: What the file says.
            what: What messages call the file.

        Raises:
            CheckpointError: naming the setting.
        """
        for key, allowed in self.required.items():
            if key in found and not any(_same(found[key], value) for value in allowed):
                raise CheckpointError(
                    f"{what} has {key} {found[key]!r:.80}; only {allowed[0]!r} is known here."
                )
        for key, value in found.items():
            if key.startswith("do_") and value and key not in self.known:
                raise CheckpointError(f"{what} has {key} {value!r:.80}, a step that is not known here.")


def _same(found: Any, allowed: Any) -> bool:
    """Equal, and true and false no numbers."""
    return bool(isinstance(found, bool) == isinstance(allowed, bool) and found == allowed)
