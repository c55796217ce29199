"""Which device a model runs on."""

import torch

from mtvit_core.errors import ConfigError


def pick_device(name: str = "auto") -> torch.device:
    """Return a device that is there.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` and so on; ``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: the name means nothing to torch, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        reason = str(cause).splitlines()[0]
        raise ConfigError(
            f"device {name!r}: torch cannot use it here ({reason}); give auto, cpu or cuda:N."
        ) from None
    return device
