"""What a record says about pace, by hand, on a clock that the test sets; memory where there is a GPU."""

import pytest
import torch

from mtvit_train.engine.meter import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test moves on."""
    now = [100.0]
    monkeypatch.setattr("mtvit_train.engine.meter.time.perf_counter", lambda: now[0])
    return now


def add(meter: Meter, loss: float, norm: float) -> None:
    meter.add({"det/l1": torch.tensor(loss)}, torch.tensor(norm), images=8, waited=0.5, loading=2.0)


@pytest.mark.parametrize(("workers", "rate"), [(0, 4.0), (3, 12.0)])
def test_pace_and_averages(clock: list[float], workers: int, rate: float) -> None:
    meter = Meter(torch.device("cpu"), workers)
    meter.start_clock()
    add(meter, 2.0, 1.0)
    add(meter, 4.0, 5.0)
    clock[0] += 4.0
    report = meter.report(7, 0.5, {"det": 0.25})
    assert report.values == {
        "det/l1": 3.0,
        "lr": 0.5,
        "grad_norm": 3.0,
        "weight_det": 0.25,
        "images_per_s": 4.0,  # 16 images in 4 s
        "step_s": 2.0,
        "data_wait": 0.25,  # 1 s of 4
        "loader_images_per_s": rate,  # 16 images in 4 s of each loading process
    }


def test_memory_of_a_gpu(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda device: 3 * 2**20)
    meter = Meter(torch.device("cuda"), 0)
    meter.start_clock()
    add(meter, 2.0, 1.0)
    clock[0] += 1.0
    assert meter.report(1, 0.5, {}).values["gpu_peak_mb"] == 3.0
