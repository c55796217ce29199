"""What stands before the server: who may ask, from which pages, and what every answer carries."""

import hmac
import json
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Paths that need no token: the page itself, which holds no data, and what load balancers ask.
OPEN_PATHS = ("/", "/health", "/ready")
OPEN_FOLDER = "/page/"
#: Nothing is loaded from elsewhere, and no other page may show this one.
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "media-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def header(scope: Scope, name: str) -> str | None:
    """Return a header of a request; several of one name as one."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]
    return ",".join(found) if found else None


class Guard:
    """Checks host, origin and token of every request, and adds ``HEADERS`` to every answer.

    A page of another site can have its visitor's browser ask any address, and by a name of its own that it
    points to 127.0.0.1 (DNS rebinding) even read the answer: hence ``Host`` is checked. A form of another
    site can send without reading: hence ``Origin`` is.
    """

    def __init__(
        self, app: App, hosts: Sequence[str], token: str | None, answered: Callable[[str, int], None]
    ) -> None:
        """Stand before an application.

        Args:
            app: The application.
            hosts: Names that the server may be called by, without port; ``*`` for any.
            token: What ``Authorization: Bearer`` has to hold; None asks for nothing.
            answered: Told the path and the status of every answer.
        """
        self._app, self._hosts, self._token, self._answered = app, tuple(hosts), token, answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
                self._answered(scope["path"], message["status"])
            await send(message)

        refused = self._refusal(scope)
        if refused is None:
            await self._app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refused)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host, origin = header(scope, "host"), header(scope, "origin")
        if "*" not in self._hosts and _name(host or "") not in self._hosts:
            return 400, (
                f"host {host!r:.80}: this server is not called so; it answers to {', '.join(self._hosts)}. "
                "mtvit serve --allow-host NAME adds a name."
            )
        if origin is not None and origin.partition("://")[2] != host:
            return 403, (
                f"origin {origin!r:.80}: pages of other sites may not ask this server; open its own page."
            )
        if self._token is None or scope["path"] in OPEN_PATHS or scope["path"].startswith(OPEN_FOLDER):
            return None
        given = (header(scope, "authorization") or "").removeprefix("Bearer ").encode()
        if not hmac.compare_digest(given, self._token.encode()):
            return 401, "token: it is missing or wrong; send the header Authorization: Bearer TOKEN."
        return None


def _name(host: str) -> str:
    """A host without its port: ``[::1]:80`` is ``[::1]``."""
    name, bracket, _ = host.partition("]")
    return (name + bracket if bracket else host.partition(":")[0]).lower()


async def _refuse(send: Send, status: int, line: str) -> None:
    body = json.dumps({"error": line}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
