"""Counts and times of a server, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mtvit_core.serving.answer import Answer
from mtvit_core.serving.served import Served

#: Media type of ``Metrics.text``.
MEDIA_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Metrics of one server; they start at zero with it."""

    def __init__(self, served: Served, taken: Callable[[], int]) -> None:
        """Begin.

        Args:
            served: The model.
            taken: Tells how many requests are in the server.
        """
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._requests = Counter(
            "mtvit_requests", "Requests by path and status.", ("path", "status"), registry=self._registry
        )
        self._objects = Counter("mtvit_objects", "Objects found.", registry=self._registry)
        self._stages = Histogram(
            "mtvit_stage_seconds",
            "Seconds of each stage of an answer.",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        Gauge(
            "mtvit_predictions_in_server", "Images read, waiting or worked on.", registry=self._registry
        ).set_function(taken)
        tasks = ",".join(task.name for task in served.model.task_list)
        told = {"name": served.name, "device": served.device, "tasks": tasks}
        Info("mtvit_model", "The model that is served.", registry=self._registry).info(told)

    def count(self, path: str, status: int) -> None:
        """Count an answered request; paths that the server does not have are one."""
        self._requests.labels(path, str(status)).inc()

    def observe(self, answered: Answer) -> None:
        """Note the times and objects of an answer."""
        self._objects.inc(answered.objects)
        for stage, seconds in answered.seconds.items():
            self._stages.labels(stage).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)
