"""How the benchmarks take time: of one call, or the medians of several that take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def seconds(work: Callable[[], object], device: torch.device | str = "cpu") -> float:
    """Wall seconds of one call, until the device has done all of it."""
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def cpu_seconds(work: Callable[[], object]) -> float:
    """Seconds of CPU time that this process spends on one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def medians(ways: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The median wall seconds of each way on the CPU; they take turns, so that a busy machine slows all alike."""
    rounds = [[seconds(way) for way in ways] for _ in range(repeats)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]
