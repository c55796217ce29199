"""The process that serves: its address, its loop and its end."""

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from types import FrameType

import uvicorn

from mtvit_core.errors import ConfigError
from mtvit_core.serving.guards import App
from mtvit_core.serving.limits import Limits


def bound(host: str, port: int) -> socket.socket:
    """Return a socket at an address, on which nobody listens yet.

    Args:
        host: An IP address or ``localhost``.
        port: 0 for any that is free.

    Raises:
        ConfigError: the address is not this machine's, or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
    except OSError as cause:
        server.close()
        raise ConfigError(
            f"serve: {host} port {port} cannot be used ({cause.strerror}); give another one with --port, "
            "0 for any that is free."
        ) from None
    return server


def is_local(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def address(server: socket.socket) -> str:
    """Return what a browser is given to open."""
    host, port = server.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: App, server: socket.socket, limits: Limits, ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; what has begun is then answered.

    Args:
        app: The application.
        server: Where it listens.
        limits: Connections, and the time that answers are waited for at the end.
        ready: Called when it listens.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=max(1, round(limits.seconds)),
    )
    with _kept_alive():
        _Server(config, ready).run(sockets=[server])


class _Server(uvicorn.Server):
    """Says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


@contextmanager
def _kept_alive() -> Iterator[None]:
    """Let signals end the server and not the process: uvicorn raises them again when it has stopped."""

    def ignore(number: int, frame: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
