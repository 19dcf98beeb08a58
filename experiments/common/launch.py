"""From a checked configuration to a finished run: what the supervised benchmarks' ``train.py`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from experiments.common import parallel
from experiments.common.batch_norm import share_batch_norm
from experiments.common.checkpoint import remove_checkpoints
from experiments.common.config import RunConfig, SupervisedConfig, choose_device
from experiments.common.engine import Problem, Run
from experiments.common.memory import keep_freed_memory
from experiments.common.optimizer import make_optimizer
from experiments.common.progress import tell
from experiments.common.records import begin_record, claim, read_record, run_name
from experiments.common.tracking import NoTracker, Pictures, open_tracker
from methods import Method

C = TypeVar("C", bound=SupervisedConfig)


def carry_out(config: C, n_tasks: int, run: Callable[[C, dict[str, Any], Path], dict[str, Any]]) -> dict[str, Any]:
    """Carry out one run in its folder, or go on with it, or return its record if it is finished.

    ``run(config, settings, folder)`` does the training. A single-task run without a main task is ``n_tasks`` runs;
    the last one's record is returned.
    """
    if config.method["name"] == "stl" and config.method.get("main_task") is None:
        single = [replace(config, method={**config.method, "main_task": task}) for task in range(n_tasks)]
        return [carry_out(one, n_tasks, run) for one in single][-1]

    parallel.start()
    settings = asdict(config)
    folder = Path(config.run.root) / run_name(settings)
    with ExitStack() as held:
        if parallel.decided_by_first(lambda: _is_to_run(folder, held)):
            return run(config, settings, folder)
    return read_record(folder) or {}


def _is_to_run(folder: Path, held: ExitStack) -> bool:
    """Claim a run for as long as ``held`` is open; ``False``, and a line that says why, if it is not to be run."""
    if not held.enter_context(claim(folder)):
        tell(f"{folder.name} is being run by another process, skipped.")
        return False
    done = read_record(folder)
    if done is not None and done["status"] == "finished":
        tell(f"{folder.name} is finished, skipped.")
        remove_checkpoints(folder)  # where the run was killed between its last two actions
        return False
    return True


def prepare_device(run: RunConfig) -> torch.device:
    """The device of a run, with the process's threads and memory set up for it."""
    keep_freed_memory()
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    return choose_device(parallel.own_device(run.device))


def train_problem(
    problem: Problem,
    method: Method,
    make_scheduler: Callable[[Optimizer], LRScheduler | ReduceLROnPlateau],
    *,
    config: SupervisedConfig,
    settings: dict[str, Any],
    folder: Path,
    data: dict[str, Any],
    device: torch.device,
    reference: Mapping[str, float] | None = None,
    pictures: Callable[[], Pictures] | None = None,
) -> dict[str, Any]:
    """Train a problem by Adam and return its finished record; ``data`` is the provenance for the record.

    ``reference``: the single-task values that the problem's Δm is measured against, by metric, for the record.
    ``pictures`` makes what is logged beside the numbers at the end, where there is a tracker to log it.
    """
    if parallel.size() > 1:
        parallel.same_everywhere(problem.model)
        method.distribute()
        if share_batch_norm(problem.model) and getattr(method, "task_gradients", None) == "auto":
            method.task_gradients = "loop"  # type: ignore[attr-defined] # nothing vectorises over a collective
    optimizer = make_optimizer(problem.model, method, config.optimizer)
    record = begin_record(folder, settings, device, data, reference)
    return Run(
        problem=problem,
        method=method,
        optimizer=optimizer,
        scheduler=make_scheduler(optimizer),
        folder=folder,
        record=record,
        epochs=config.trainer.epochs,
        checkpoint_every=config.run.checkpoint_every,
        checkpoint_seconds=config.run.checkpoint_seconds,
        device=device,
        tracker=open_tracker(settings["logger"], folder, record) if parallel.is_first() else NoTracker(),
        show_progress=config.run.progress and parallel.is_first(),
        keep_network=config.run.keep_network,
        pictures=pictures,
    ).train()
