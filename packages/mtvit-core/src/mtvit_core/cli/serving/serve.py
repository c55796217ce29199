"""``mtvit serve``: a model behind a page in the browser and an HTTP interface."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtvit_core.cli.errors import verbose_option
from mtvit_core.errors import ConfigError

if TYPE_CHECKING:
    from mtvit_core.serving.limits import Limits
    from mtvit_core.serving.served import Served

_NEEDED = ("fastapi", "prometheus_client", "uvicorn")


@click.command("serve", short_help="Serve a model: a page in the browser, and HTTP.")
@click.argument("model")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any free.")
@click.option(
    "--token",
    envvar="MTVIT_SERVE_TOKEN",
    show_envvar=True,
    help="What requests have to bring; needed where other machines reach --host.",
)
@click.option(
    "--allow-host", "hosts", multiple=True, metavar="NAME", help="A further name that it is called by."
)
@click.option("--tasks", help="Tasks to run, comma-separated. [default: all of the model]")
@click.option("--set", "assignments", multiple=True, metavar="TASK.A=VALUE", help="As for mtvit predict.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads of a pass on a CPU.  [default: one for each core that the process may use]",
)
@click.option("--max-mb", default=32.0, show_default=True, help="MiB of an image file.")
@click.option("--max-megapixels", default=50.0, show_default=True, help="Millions of pixels of an image.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds until a request is given up.")
@click.option("--queue", default=16, show_default=True, help="Images that wait; the next gets a 429.")
@click.option("--connections", default=128, show_default=True, help="Open connections.")
@verbose_option
def serve_command(
    model: str,
    host: str,
    port: int,
    token: str | None,
    hosts: tuple[str, ...],
    tasks: str | None,
    assignments: tuple[str, ...],
    device: str,
    threads: int | None,
    max_mb: float,
    max_megapixels: float,
    timeout: float,
    queue: int,
    connections: int,
) -> None:
    """Serve MODEL on this machine, until Ctrl-C or SIGTERM.

    The page at the printed address takes images by drop, paste or camera; POST /predict takes an image as
    the body. Nothing is loaded from elsewhere, and only this machine reaches it unless --host says otherwise.
    """
    _check_installed()
    from mtvit_core.serving.app import LOCAL_NAMES, create_app
    from mtvit_core.serving.limits import Limits
    from mtvit_core.serving.server import address, bound, is_local, run

    limits = Limits(
        megabytes=max_mb,
        megapixels=max_megapixels,
        seconds=timeout,
        waiting=queue,
        connections=connections,
    )
    if not is_local(host) and not token:
        raise ConfigError(
            f"serve: other machines reach {host}, so requests need a token; set MTVIT_SERVE_TOKEN or give "
            "--token, or listen on 127.0.0.1."
        )
    with bound(host, port) as server:
        served = _served(model, tasks, assignments, device, threads, limits)
        app = create_app(served, (*LOCAL_NAMES, *(name.lower() for name in hosts)), token)
        names = ", ".join(task.name for task in served.model.task_list)
        told = f"Serving {names} on {address(server)} ({served.device}). Ctrl-C stops it."
        run(app, server, limits, lambda: click.echo(told))
    click.echo("Stopped.")


def _check_installed() -> None:
    lacking = [name for name in _NEEDED if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"serve: the package {lacking[0]} is not installed; pip install 'mtvit-core[serve]'."
        )


def _served(
    model: str,
    tasks: str | None,
    assignments: tuple[str, ...],
    device: str,
    threads: int | None,
    limits: "Limits",
) -> "Served":
    import torch

    from mtvit_core.config import apply_set
    from mtvit_core.deploy.exported import ExportedModel
    from mtvit_core.deploy.load import load
    from mtvit_core.device import pick_device
    from mtvit_core.serving.served import Served

    place = pick_device(device)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(threads or cores)
    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    settings = apply_set({}, assignments)
    loaded = load(model, names, settings, device)
    count = torch.get_num_threads()
    told = f"{place}, {count} thread{'s' * (count > 1)}" if place.type == "cpu" else str(place)
    if isinstance(loaded, ExportedModel):
        told = loaded.session.runtime
    name = str(Path(model).absolute()) if Path(model).exists() else model
    changed = {"tasks": names, "settings": settings or None}
    extra = "".join(f", {key}={value!r}" for key, value in changed.items() if value is not None)
    served = Served(loaded, name, f"mtvit_core.load({name!r}{extra})", told, limits)
    served.warm_up()
    return served
