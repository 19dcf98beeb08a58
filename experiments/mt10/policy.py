"""The policy of a finished run, apart from everything that only training needs: ``policy.pt`` in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from experiments.common.checkpoint import disk_error
from experiments.common.errors import UserError
from experiments.common.files import atomic_write
from experiments.common.records import RECORD, damaged
from experiments.mt10.environments import VectorEnvironment
from experiments.mt10.learner import Learner
from experiments.mt10.sac import SACOptions
from methods import get_method

POLICY = "policy.pt"


def save_policy(folder: Path, learner: Learner, index: int) -> None:
    """Write the seed's parameters that its actions depend on; raises :class:`UserError` if the disk is full."""
    parameters = {
        name: value[index : index + 1].detach().cpu().clone()
        for name, value in learner.parameters.items()
        if not name.startswith("critic.")
    }
    try:
        with atomic_write(folder / POLICY) as file:
            torch.save(parameters, file)
    except (OSError, RuntimeError) as error:
        reason = disk_error(error)
        raise UserError(
            f"cannot write {folder / POLICY}: {reason}; free space or choose another run.root."
        ) from error


def load_policy(folder: Path, record: Mapping[str, Any], environment: VectorEnvironment) -> Learner:
    """A learner that acts as the finished run's did at its end; ``environment`` has the run's tasks and seed.

    Raises :class:`UserError` where the folder holds no policy, or a damaged one.
    """
    path = folder / POLICY
    if not path.exists():
        raise UserError(f"{folder} holds no {POLICY}; it is written when a run finishes, so give a finished one.")
    n_tasks = len(environment.tasks)
    try:
        agent = record["config"]["agent"]["name"]
        options = SACOptions(**{**record["config"]["sac"], "capture": "none"})
    except (KeyError, TypeError) as error:
        raise damaged(folder / RECORD, f"its configuration is of another version ({error})") from error
    learner = Learner(
        agent,
        n_tasks=n_tasks,
        observation_size=environment.observation_size,
        action_size=environment.action_size,
        seeds=[record["seed"]],
        make_method=lambda seed: get_method("ls", n_tasks),  # takes no part in acting
        options=options,
        tasks=environment.tasks,
    )
    try:
        parameters = torch.load(path, map_location="cpu", weights_only=True)
        with torch.no_grad():
            for name, value in parameters.items():
                learner.parameters[name].copy_(value)
    except Exception as error:  # a truncated zip file surfaces as one of many exception types
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be used ({reason}); repeat the run in another run.root.") from error
    return learner
