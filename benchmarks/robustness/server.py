"""A server under load and under attack: every request answered, memory flat, and what serving costs.

    python -m benchmarks.robustness.server --minutes 10 --clients 8 --malformed 10000

Starts ``mtvit serve`` with random weights on a free port of 127.0.0.1, then in turn: one client against
``model.predict`` on the same bytes; malformed requests, bombs and broken connections; many clients at once.
The server's own figure of resident memory is read all the while.
"""

import argparse
import http.client
import io
import itertools
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import mtvit_core

#: Seconds after which a request counts as never answered.
PATIENCE = 90


def main() -> None:
    """Print what came of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--malformed", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--size", type=int, default=320)
    parser.add_argument("--backbone", default="vit_tiny_patch16_224")
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    model = mtvit_core.build(options.backbone, ["det", "seg", "pose"], canvas=(options.size, options.size))
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        mtvit_core.save(model, path)
        with serving(path, options.threads) as port:
            one_client(model, port, options.rounds)
            with memory(port) as told:
                malformed(port, options.malformed)
                print(told())
            with memory(port) as told:
                many_clients(port, options.clients, 60 * options.minutes)
                print(told())


@contextmanager
def serving(model: Path, threads: int) -> Iterator[int]:
    """Run the command; it has to stop cleanly."""
    command = [sys.executable, "-m", "mtvit_core", "serve", str(model), "--port", "0"]
    log = model.with_name("server.log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--threads", str(threads)], stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    print(line.strip())
    match = re.search(r"127\.0\.0\.1:(\d+)", line)
    assert match is not None, log.read_text()
    try:
        yield int(match[1])
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
        lines = Counter(log.read_text().splitlines())
        print(f"after SIGTERM: exit code {process.returncode}, {out.strip()!r}")
        print(f"log: {', '.join(f'{n} x {line!r}' for line, n in lines.most_common(5)) or 'empty'}")


def ask(port: int, body: bytes, path: str = "/predict", **headers: str) -> int:
    """Send one request; returns the status, 0 where none came."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def picture(width: int, height: int, kind: str = "JPEG") -> bytes:
    """The bytes of an image of soft noise."""
    small = np.random.default_rng(width).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize((width, height)).save(file, kind)
    return file.getvalue()


def one_client(model: mtvit_core.MultiTaskViT, port: int, rounds: int) -> None:
    """The same image by turns: predicted here, and asked for."""
    body = picture(640, 480)
    times: dict[str, list[float]] = {"predict": [], "served": []}
    for _ in range(rounds + 3):
        start = time.perf_counter()
        model.predict([body], min_score=0.3)
        middle = time.perf_counter()
        assert ask(port, body) == 200
        times["predict"].append(middle - start)
        times["served"].append(time.perf_counter() - middle)
    points = {}
    for name, values in times.items():
        cuts = statistics.quantiles(values[3:], n=20)
        points[name] = (cuts[9], cuts[18])
        print(f"one client, {name:8s} p50 {1e3 * cuts[9]:7.1f} ms   p95 {1e3 * cuts[18]:7.1f} ms")
    p50, p95 = (a / b for a, b in zip(points["served"], points["predict"], strict=True))
    print(f"one client, served / predict: p50 {p50:.2f}, p95 {p95:.2f}")


def attacks(port: int) -> list[Callable[[], int | None]]:
    """Ways to ask badly; each returns the status, None where it did not wait for one."""
    good, draw = picture(640, 480), random.Random(0)
    png = picture(300, 200, "PNG")
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    header = bytearray(png)
    header[16:24] = bytes([0, 0, 255, 255, 0, 0, 255, 255])  # claims 65535 x 65535

    def flipped() -> bytes:
        data = bytearray(draw.choice((good, png)))
        for _ in range(20):
            data[draw.randrange(len(data))] = draw.randrange(256)
        return bytes(data)

    def raw(text: bytes, wait: bool) -> int | None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(text)
            return _status(connection) if wait else None

    half = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n" + good[:500]
    return [
        lambda: ask(port, draw.randbytes(draw.randrange(1, 5000))),
        lambda: ask(port, good[: draw.randrange(1, len(good))]),
        lambda: ask(port, png[: draw.randrange(1, len(png))]),
        lambda: ask(port, flipped()),
        lambda: ask(port, bomb.getvalue()),
        lambda: ask(port, bytes(header)),
        lambda: ask(port, b""),
        lambda: ask(port, good, "/predict?min_score=nan"),
        lambda: ask(port, good, f"/predict?category={'x' * draw.randrange(1, 3000)}"),
        lambda: ask(port, good, "/predict?maps=perhaps&min_score=-1"),
        lambda: ask(port, good, "/../../etc/passwd"),
        lambda: ask(port, good, "/page/%2e%2e/app.py"),
        lambda: ask(port, good, Host="evil.example"),
        lambda: ask(port, good, Origin="null"),
        lambda: ask(port, b"{}", **{"Content-Type": "application/json"}),
        lambda: ask(port, b"--x\r\n", **{"Content-Type": "multipart/form-data; boundary=x"}),
        lambda: raw(b"\x16\x03\x01\x02\x00" + draw.randbytes(200) + b"\r\n\r\n", wait=True),
        lambda: raw(b"GET / HTTP/9.9\r\n\r\n", wait=True),
        lambda: raw(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", wait=True),
        lambda: raw(half, wait=False),
        lambda: raw(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Enc", wait=False),
    ]


def _status(connection: socket.socket) -> int:
    data = b""
    try:
        while b"\r\n" not in data and (more := connection.recv(4096)):
            data += more
    except OSError:
        return 0
    match = re.match(rb"HTTP/1\.\d (\d+)", data)
    return int(match[1]) if match else 0


def malformed(port: int, requests: int) -> None:
    """Ask badly so many times, one way after the other."""
    statuses: Counter[int | None] = Counter()
    start = time.perf_counter()
    for attack in itertools.islice(itertools.cycle(attacks(port)), requests):
        statuses[attack()] += 1
    told = ", ".join(
        f"{'left' if s is None else s or 'none'}: {n}" for s, n in sorted(statuses.items(), key=str)
    )
    print(f"malformed requests: {requests} in {time.perf_counter() - start:.0f} s; by status: {told}")
    print(f"afterwards a good one: {ask(port, picture(640, 480))}")


def many_clients(port: int, clients: int, seconds: float) -> None:
    """Many clients, each asking again as soon as it is answered; every tenth image is broken."""
    bodies = [picture(*size) for size in ((320, 240), (640, 480), (1280, 960), (2000, 1500), (480, 640))]
    statuses: Counter[int] = Counter()
    times: list[float] = []
    end = time.perf_counter() + seconds

    def client(number: int) -> None:
        draw = random.Random(number)
        while time.perf_counter() < end:
            body = draw.choice(bodies)
            body = body[: len(body) // 2] if draw.random() < 0.1 else body
            start = time.perf_counter()
            status = ask(port, body)
            times.append(time.perf_counter() - start)
            statuses[status] += 1
            if status == 429:
                time.sleep(0.5)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cuts = statistics.quantiles(times, n=20)
    told = ", ".join(f"{status or 'none'}: {count}" for status, count in sorted(statuses.items()))
    print(f"{clients} clients, {seconds:.0f} s: {len(times)} requests; by status: {told}")
    p50, p95, most = (1e3 * value for value in (cuts[9], cuts[18], max(times)))
    print(f"{clients} clients, p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {most:.0f} ms")


@contextmanager
def memory(port: int) -> Iterator[Callable[[], str]]:
    """Read the server's memory every second; yields what says how it went."""
    seen: list[float] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(1):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/metrics")
            match = re.search(
                r"^process_resident_memory_bytes (\S+)", connection.getresponse().read().decode(), re.M
            )
            connection.close()
            if match is not None:
                seen.append(float(match[1]) / 2**20)

    def told() -> str:
        tenth = max(1, len(seen) // 10)
        first, rest = seen[: 2 * tenth], seen[2 * tenth :] or seen
        return (
            f"memory: {seen[0]:.0f} MiB at the start, {max(first):.0f} at most in the first fifth, "
            f"{max(rest):.0f} at most later, {seen[-1]:.0f} at the end"
        )

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    main()
