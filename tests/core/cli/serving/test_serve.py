"""``mtvit serve``: it starts, answers, stops cleanly on SIGTERM, and refuses what is unsafe or impossible."""

import re
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from PIL import Image

import mtvit_core
from mtvit_core.cli.serving import serve as serve_module
from support.commands.command_cases import CATEGORIES, refusal


@pytest.mark.slow
def test_it_serves_until_sigterm(tmp_path):
    model = mtvit_core.build("test_vit", ["det"], CATEGORIES, canvas=(32, 48))
    mtvit_core.save(model, tmp_path / "model.safetensors")
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    command = [
        sys.executable,
        "-m",
        "mtvit_core",
        "serve",
        str(tmp_path / "model.safetensors"),
        "--port",
        "0",
    ]
    process = subprocess.Popen(
        [*command, "--threads", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        told = re.fullmatch(
            r"Serving det on (http://127\.0\.0\.1:\d+) \(cpu, 1 thread\)\. Ctrl-C stops it\.\n", line
        )
        assert told, line + process.communicate()[1]
        request = urllib.request.Request(f"{told[1]}/predict", (tmp_path / "a.png").read_bytes())
        with urllib.request.urlopen(request, timeout=120) as response:
            assert response.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=120) == ("Stopped.\n", "")
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.5", "cam.example", "::"])
def test_other_machines_are_let_in_with_a_token_only(model, host):
    assert refusal("serve", model, "--host", host) == (
        f"error: serve: other machines reach {host}, so requests need a token; set MTVIT_SERVE_TOKEN or give "
        "--token, or listen on 127.0.0.1."
    )


def test_a_port_that_is_taken_is_told(model):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refusal("serve", model, "--port", str(port)) == (
            f"error: serve: 127.0.0.1 port {port} cannot be used (Address already in use); give another one "
            "with --port, 0 for any that is free."
        )


def test_a_model_that_is_not_there_is_told(tmp_path):
    line = refusal("serve", tmp_path / "no.safetensors", "--port", "0")
    assert line.startswith(f"error: checkpoint {tmp_path / 'no.safetensors'}: no such file")


def test_limits_are_checked(model):
    assert refusal("serve", model, "--timeout", "0") == (
        "error: serve: limit seconds is 0.0; give a number above 0."
    )


def test_without_the_extra_it_is_named(model, monkeypatch):
    monkeypatch.setattr(serve_module, "find_spec", lambda name: None)
    assert refusal("serve", model) == (
        "error: serve: the package fastapi is not installed; pip install 'mtvit-core[serve]'."
    )
