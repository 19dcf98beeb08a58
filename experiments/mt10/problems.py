"""The environments that a configuration names: a Meta-World profile, or the small control problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.common.errors import UserError
from experiments.mt10.control import CONTROL_TASKS, ControlEnvironment
from experiments.mt10.environments import VectorEnvironment, make_environments
from experiments.mt10.profiles import PROFILES
from experiments.mt10.tasks import TASKS, check_tasks

CONTROL = "control"


def problem_tasks(profile: str, tasks: Sequence[str] | None) -> tuple[str, ...]:
    """The tasks of a profile, or the chosen ones; raises :class:`UserError` for one that it does not have."""
    check_profile(profile)
    if profile != CONTROL:
        return check_tasks(TASKS if tasks is None else tasks)
    chosen = tuple(CONTROL_TASKS if tasks is None else tasks)
    unknown = [task for task in chosen if task not in CONTROL_TASKS]
    if unknown or not chosen or len(set(chosen)) < len(chosen):
        raise UserError(f"tasks is {list(chosen)}; give some of {', '.join(CONTROL_TASKS)}, each only once.")
    return chosen


def check_profile(profile: str) -> None:
    """Raise :class:`UserError` for a profile that does not exist."""
    if profile not in (*PROFILES, CONTROL):
        raise UserError(f"profile is {profile!r}; expected one of {', '.join([*PROFILES, CONTROL])}.")


def repeats_episodes(profile: str) -> bool:
    """Whether every episode of one deterministic policy is the same: a fixed goal, and a start that is not drawn."""
    return profile != CONTROL and PROFILES[profile].goals_per_task == 1


def open_environments(
    profile: str, *, tasks: Sequence[str], seeds: Sequence[int], backend: str, workers: int, evaluation: bool
) -> VectorEnvironment:
    """Environments of every seed and task; raises :class:`UserError` where the simulator cannot be loaded."""
    if profile == CONTROL:
        return ControlEnvironment(tasks=tasks, seeds=seeds, evaluation=evaluation)
    return make_environments(
        profile, tasks=tasks, seeds=seeds, backend=backend, workers=workers, evaluation=evaluation
    )


def provenance(profile: str, backend: str, environment: VectorEnvironment) -> dict[str, Any]:
    """What the record says of the environments."""
    own = {"profile": profile, "tasks": list(environment.tasks), "horizon": environment.horizon}
    if profile == CONTROL:
        return {"source": "analytic control problem", "synthetic": True, **own, "differs": "it is not Meta-World."}
    differs = PROFILES[profile].differs
    return {"source": "metaworld", "synthetic": False, **own, "backend": backend, "differs": differs}
