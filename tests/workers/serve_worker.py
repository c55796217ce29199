"""A server of nothing but one slow answer, in a process of its own, to be told to stop."""

import asyncio
import sys

from mtvit_core.serving.guards import Message, Receive, Scope, Send
from mtvit_core.serving.limits import Limits
from mtvit_core.serving.server import address, bound, run


def tell(line: str) -> None:
    """Write a line for whoever started this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer after a while; what starts and ends with the server is none of its business."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    tell("asked")
    await asyncio.sleep(0.5)
    start: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"done"})


if __name__ == "__main__":
    with bound("127.0.0.1", 0) as listening:
        run(app, listening, Limits(), lambda: tell(address(listening)))
    tell("stopped")
