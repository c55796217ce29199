"""The process: where it listens, and how it ends."""

import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest

from mtvit_core.errors import ConfigError
from mtvit_core.serving.server import address, bound, is_local

WORKER = Path(__file__).parents[2] / "workers" / "serve_worker.py"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_has_begun_is_answered_before_the_end(stop):
    process = subprocess.Popen([sys.executable, str(WORKER)], stdout=subprocess.PIPE, text=True)
    answers = []
    try:
        url = process.stdout.readline().strip()
        asking = threading.Thread(target=lambda: answers.append(urllib.request.urlopen(url).read()))
        asking.start()
        assert process.stdout.readline() == "asked\n"
        process.send_signal(stop)
        assert process.communicate(timeout=60)[0] == "stopped\n"
        asking.join()
    finally:
        process.kill()
        process.wait()
    assert answers == [b"done"]
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.0.2.2", False),
        ("x", False),
    ],
)
def test_what_only_this_machine_reaches(host, local):
    assert is_local(host) is local


def test_addresses():
    with bound("127.0.0.1", 0) as listening:
        assert address(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}"
    if socket.has_ipv6:
        with bound("::1", 0) as listening:
            assert address(listening) == f"http://[::1]:{listening.getsockname()[1]}"


def test_an_address_of_another_machine_cannot_be_bound():
    with pytest.raises(ConfigError, match=r"serve: 192\.0\.2\.1 port 0 cannot be used"):
        bound("192.0.2.1", 0)
