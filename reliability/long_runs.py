"""Memory, objects and open files over a long run: ``python -m reliability.long_runs``.

Settings, each as key=value:

  steps=50000     of every method on a small problem, and of the training loop with checkpoints
  methods=[]      keys of methods, [] for all

What grows is the difference between the end and a tenth of the way. A graph that is kept would cost 64 KiB a step, in
every part of the way; what another thread of the process sets up meanwhile, it sets up once.
"""

from __future__ import annotations

import contextlib
import gc
import io
import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments.common.engine import Run
from experiments.common.errors import exits_cleanly
from experiments.common.options import parse_options
from methods import METHODS, Method, get_method

#: What may come and go by chance between two marks: pages of the allocator, objects of caches.
MOST_BYTES, MOST_OBJECTS = 4 << 20, 100

#: Where growth is looked at, in tenths of the way.
MARKS = (1, 4, 7, 10)


@dataclass
class Settings:
    steps: int = 50_000
    methods: list[str] = field(default_factory=list)


class Growth(NamedTuple):
    """What a run gained between a tenth of its steps and the last one."""

    bytes: int  # resident memory
    objects: int  # that the garbage collector knows of
    files: int  # open
    seconds: float
    flat: bool  # what leaks, leaks all the way: there is a part of it in which nothing grew


class SmallNetwork(nn.Module):
    """A trunk and three heads; the activations of a step take 64 KiB."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Linear(8, 256)
        self.heads = nn.ModuleList([nn.Linear(256, 1) for _ in range(3)])

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def task_specific_parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())


class SmallProblem:
    """Three regression tasks on :class:`SmallNetwork`, 100 steps an epoch, with nothing to evaluate."""

    steps = 100
    keeps_best = False

    def __init__(self) -> None:
        self.tasks: Sequence[str] = ("a", "b", "c")
        self.splits: Sequence[str] = ("test",)
        self.network = SmallNetwork()
        self.model: nn.Module = self.network
        self.inputs = torch.randn(64, 8)

    def losses(self, handle: Any) -> tuple[list[Tensor], Tensor]:
        features = torch.tanh(self.network.trunk(self.inputs))
        return [(head(features) - k).square().mean() + 0.1 for k, head in enumerate(self.network.heads)], features

    def batches(self, epoch: int) -> Sequence[int]:
        return range(self.steps)

    def evaluate(self, split: str) -> dict[str, float]:
        return {"error": 1.0}

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        return metrics["test"]["error"]

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        return {"epoch": best_epoch, "metrics": {"error": 1.0}, "delta_m": None}

    def describe_score(self, score: float) -> str:
        return f"error {score}"


def method_growth(key: str, steps: int, backward: Callable[..., Any] | None = None) -> Growth:
    """Growth over ``steps`` steps of a method by itself; ``backward`` stands in for the method's own."""
    problem = SmallProblem()
    method: Method = get_method(key, 3, **({"main_task": 0} if key == "stl" else {}))
    optimizer = torch.optim.SGD([*problem.model.parameters(), *method.parameters()], lr=1e-4)

    def step() -> None:
        losses, features = problem.losses(None)
        (backward or method.backward)(
            losses,
            shared_parameters=problem.network.shared_parameters(),
            task_specific_parameters=problem.network.task_specific_parameters(),
            representation=features,
        )
        optimizer.step()

    marks = []
    at = {steps * share // 10 for share in MARKS}
    started = time.perf_counter()
    for taken in range(1, steps + 1):
        step()
        if taken in at:
            marks.append(_state())
    return _growth(marks, time.perf_counter() - started)


def loop_growth(steps: int, folder: Path) -> tuple[Growth, str]:
    """Growth over ``steps`` steps of the training loop with a checkpoint every 50, and what it said."""
    problem = SmallProblem()
    optimizer = torch.optim.Adam(problem.model.parameters(), lr=1e-4)
    record = {"name": "long run", "status": "running"}
    run = Run(
        problem=problem,
        method=get_method("nash_mtl", 3),
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 1),
        folder=folder,
        record=record,
        epochs=max(steps // problem.steps, 2),
        checkpoint_every=50,
        device=torch.device("cpu"),
    )
    marks: list[tuple[int, int, int]] = []
    at = {max(run.epochs * share // 10, 1) for share in MARKS}
    end_epoch = run._end_epoch

    def marking(epoch: int) -> dict[str, Any]:
        entry = end_epoch(epoch)
        if epoch + 1 in at:
            # An epoch's entry in the record is what a run is meant to gain; some 30 objects each.
            resident, objects, files = _state()
            marks.append((resident, objects - 30 * (epoch + 1), files))
        return entry

    run._end_epoch = marking  # type: ignore[method-assign]
    started = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()) as said:
        run.train()
    return _growth(marks, time.perf_counter() - started), said.getvalue()


def _growth(marks: Sequence[tuple[int, int, int]], seconds: float) -> Growth:
    parts = [tuple(b - a for a, b in zip(before, after, strict=True)) for before, after in itertools.pairwise(marks)]
    least = [min(column) for column in zip(*parts, strict=True)]
    flat = least[0] <= MOST_BYTES and least[1] <= MOST_OBJECTS and least[2] <= 0
    resident, objects, files = (sum(column) for column in zip(*parts, strict=True))
    return Growth(resident, objects, files, seconds, flat)


def _state() -> tuple[int, int, int]:
    """Bytes of resident memory, objects and open files of this process."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(gc.get_objects()), len(os.listdir("/proc/self/fd"))


def measured(settings: Settings) -> Iterator[tuple[str, Growth]]:
    for key in settings.methods or METHODS:
        yield key, method_growth(key, settings.steps)
    with tempfile.TemporaryDirectory() as folder:
        growth, said = loop_growth(settings.steps, Path(folder))
        yield f"training loop ({len(said.splitlines())} lines of log)", growth


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    settings = parse_options(Settings, arguments, choices={"methods": METHODS}, description=__doc__)
    torch.set_num_threads(1)
    failed = []
    for name, growth in measured(settings):
        print(
            f"{name}: {settings.steps} steps in {growth.seconds:.0f} s; {growth.bytes / 2**20:+.2f} MiB, "
            f"{growth.objects:+d} objects, {growth.files:+d} open files",
            flush=True,
        )
        failed += [] if growth.flat else [name]
    if failed:
        print(f"not flat: {', '.join(failed)}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
