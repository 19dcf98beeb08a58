"""Worker processes: the same numbers, states that fit, clear errors, and nothing left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10 import train as trainer
from experiments.mt10.batch import Recipe
from experiments.mt10.environments import Environments, make_environments
from experiments.mt10.workers import WorkerBatch, automatic_workers
from tests.mt10.experts import needs_simulator, random_actions
from tests.mt10.runs import run_one, small

pytestmark = needs_simulator
_TASKS = ["reach", "drawer-close", "window-open"]


def semaphores(environments: Environments) -> list[Path]:
    """The files behind them, where the system shows any; the arrays' files are unlinked at once."""
    batch = environments._batch
    assert isinstance(batch, WorkerBatch)
    return [Path(f"/dev/shm/sem.{s._semlock.name[1:]}") for s in (batch._done, *(line.go for line in batch._lines))]


@pytest.fixture
def divided() -> Iterator[Environments]:
    environments = make_environments("mt10-paper", tasks=_TASKS, workers=2)
    yield environments
    environments.close()


def test_the_same_numbers_as_in_process(divided: Environments) -> None:
    whole = make_environments("mt10-paper", tasks=_TASKS)
    actions = random_actions(60, 1, 3)
    np.testing.assert_array_equal(whole.reset(), divided.reset())
    for a in actions[:30]:
        for x, y in zip(whole.step(a), divided.step(a), strict=True):
            np.testing.assert_array_equal(x, y)
    # A state of one goes on in the other.
    saved = divided.state_dict()
    whole.reset()
    whole.load_state_dict(saved)
    expected = [whole.step(a) for a in actions[30:]]
    divided.reset()
    divided.load_state_dict(saved)
    for step, a in zip(expected, actions[30:], strict=True):
        for x, y in zip(step, divided.step(a), strict=True):
            np.testing.assert_array_equal(x, y)
    divided.close()
    divided.close()
    with pytest.raises(UserError, match="closed"):
        divided.reset()


def test_a_killed_worker_is_reported_and_the_others_end(divided: Environments) -> None:
    divided.reset()
    assert isinstance(divided._batch, WorkerBatch)
    processes = divided._batch._processes
    os.kill(processes[1].pid, signal.SIGKILL)
    with pytest.raises(UserError, match=r"worker 1 \(window-open of seed 0\).*exit code -9"):
        divided.step(random_actions(1, 1, 3)[0])
    assert not any(process.is_alive() for process in processes)
    assert not [child for child in multiprocessing.active_children() if child.name.startswith("mt10-")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_workers_to_their_parent(
    number: signal.Signals, divided: Environments
) -> None:
    """Schedulers send theirs to every process of a job: the parent needs the states for its last checkpoint."""
    divided.reset()
    for process in divided._batch._processes:  # type: ignore[union-attr]
        os.kill(process.pid, number)
    divided.step(random_actions(1, 1, 3)[0])
    assert len(divided.state_dict()["physics"]) == 3


def test_nothing_is_left_behind() -> None:
    environments = make_environments("mt10-fixed", tasks=["reach"], workers=1)
    files, process = semaphores(environments), environments._batch._processes[0]  # type: ignore[union-attr]
    if Path("/dev/shm").is_dir():
        assert all(file.exists() for file in files)
    environments.close()
    assert process.exitcode == 0
    del environments
    gc.collect()
    assert not any(file.exists() for file in files)


def test_a_worker_that_fails_says_why() -> None:
    recipe = Recipe("reach", 0, "lean", "v2", 1)
    batch = WorkerBatch([recipe, replace(recipe, seed=1)], 2)
    batch.exchange.goals[:] = [0, 9]
    with pytest.raises(RuntimeError, match=r"(?s)worker 1 \(reach of seed 1\) failed.*IndexError"):
        batch.reset()
    assert not any(process.is_alive() for process in batch._processes)


def test_one_that_cannot_be_made_ends_all() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)worker 0 \(juggle of seed 0\) failed.*KeyError"):
        WorkerBatch([Recipe("juggle", 0, "lean", "v2", 1)], 1)


@pytest.mark.parametrize(
    ("on_gpu", "cores", "environments", "expected"),
    [
        (True, 16, 10, 10),
        (True, 8, 10, 7),
        (True, 4, 10, 3),
        (True, 3, 10, 0),
        (False, 16, 10, 0),
        (True, 64, 100, 63),
    ],
)
def test_the_number_that_nobody_has_given(
    on_gpu: bool, cores: int, environments: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert automatic_workers(on_gpu, environments) == expected


@pytest.mark.parametrize(("given", "expected"), [([], 5), (["run.workers=2"], 2), (["run.workers=0"], 0)])
def test_a_run_takes_the_number_that_was_given_or_else_the_automatic_one(
    given: list[str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[bool, int]] = []
    opened: list[int] = []
    open_them = trainer.open_environments

    def automatic(*of: Any) -> int:
        asked.append(of)
        return 5

    def noted(*of: Any, workers: int, **others: Any) -> Any:
        opened.append(workers)
        return open_them(*of, workers=0, **others)

    monkeypatch.setattr(trainer, "automatic_workers", automatic)
    monkeypatch.setattr(trainer, "open_environments", noted)
    run_one(small(tmp_path, "trainer.steps=40", "trainer.evaluate_every=40", *given))
    assert opened == [expected, expected], "for training and for evaluation"
    assert asked == ([(False, 2)] if not given else []), "on a CPU, for one seed of two tasks"
