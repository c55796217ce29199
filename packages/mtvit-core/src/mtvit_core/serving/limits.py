"""What a server takes at most."""

import math
from dataclasses import dataclass, fields

from mtvit_core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a server; what is over them is answered with an error, never tried.

    Attributes:
        megabytes: MiB of a request's body.
        megapixels: Millions of pixels of an image, checked in its header before it is decoded.
        seconds: From a request's first byte to its answer.
        waiting: Requests that wait while one is answered; the next one is sent away with 429.
        connections: Open connections.
    """

    megabytes: float = 32.0
    megapixels: float = 50.0
    seconds: float = 60.0
    waiting: int = 16
    connections: int = 128

    def __post_init__(self) -> None:
        """Refuse values that no request could keep.

        Raises:
            ConfigError: naming the limit and its value.
        """
        for field in fields(self):
            value, least = getattr(self, field.name), 0 if field.name == "waiting" else 1
            if not (math.isfinite(value) and (value >= least if isinstance(value, int) else value > 0)):
                raise ConfigError(f"serve: limit {field.name} is {value!r}; give a number above {least - 1}.")

    @property
    def bytes(self) -> int:
        """Bytes of a request's body."""
        return int(self.megabytes * 2**20)

    @property
    def pixels(self) -> int:
        """Pixels of an image."""
        return int(self.megapixels * 1e6)
