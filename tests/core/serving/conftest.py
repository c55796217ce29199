"""A model of known results, and a client of its server."""

from collections.abc import Callable
from io import BytesIO

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mtvit_core.serving.app import create_app
from support.commands.serve_cases import SHOW, served, show_model


@pytest.fixture
def show(install, only_these):
    """Return the model with the task ``show``."""
    install("acme-show", SHOW, "show")
    return show_model()


@pytest.fixture
def client(show) -> Callable[..., TestClient]:
    """Return a function that makes a client of a server with some limits."""
    clients = []

    def make(token=None, hosts=("localhost",), **limits) -> TestClient:
        app = create_app(served(show, **limits), hosts, token)
        made = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
        clients.append(made)
        return made.__enter__()

    yield make
    for made in clients:
        made.__exit__(None, None, None)


@pytest.fixture
def photo() -> bytes:
    """The bytes of a JPEG of 200 x 100."""
    file = BytesIO()
    Image.new("RGB", (200, 100), "teal").save(file, "JPEG")
    return file.getvalue()
