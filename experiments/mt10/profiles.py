"""Three named settings of MT10 on today's Meta-World, and how each differs from the paper's 2021 simulator.

The paper's runs (like CARE's, CAGrad's and FAMO's) use Meta-World as of February 2021 through ``mtrl`` and
``mtenv``: environments of version 1, of which only the rewards survive in today's release. In every profile an
episode is a success if any of its steps meets the criterion of today's rewards (v2): by the old one the peg task
can practically never succeed, since it measures from the grip and not from the peg's head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from experiments.common.errors import UserError


@dataclass(frozen=True)
class Profile:
    """What an agent sees and is paid.

    ``reward_version``: Meta-World's reward function; v1 lies in about −40 … 2,300, v2 in 0 … 10.
    ``horizon``: steps of every episode; nothing ends one early. ``goals_per_task``: goals of a task and seed; one is
    kept for the whole run, of several one is drawn at each reset. ``observation``: see
    :mod:`experiments.mt10.observations`. ``normalize_rewards``: divide by a running deviation, see
    :mod:`experiments.mt10.normalize_rewards`. ``task_one_hot``: append the task's indicator to the observation.
    ``differs``: how the profile differs from the paper's runs.
    """

    name: str
    reward_version: Literal["v1", "v2"]
    horizon: int
    goals_per_task: int
    observation: Literal["paper", "full"]
    normalize_rewards: bool
    task_one_hot: bool
    differs: str


_SIMULATOR = (
    "today's robot and scene models on MuJoCo 3.3.0 (the paper: those of 2021 on MuJoCo 2.0); the hand is put in "
    "place in 50 steps at a reset (10); success by the criterion of today's rewards (v1's)"
)

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            name="mt10-paper",
            reward_version="v1",
            horizon=150,
            goals_per_task=1,
            observation="paper",
            normalize_rewards=True,
            task_one_hot=False,
            differs=f"{_SIMULATOR}. Rewards, horizon, goals, the view and the normalisation are the paper's.",
        ),
        Profile(
            name="mt10-fixed",
            reward_version="v2",
            horizon=150,
            goals_per_task=1,
            observation="full",
            normalize_rewards=False,
            task_one_hot=False,
            differs=f"{_SIMULATOR}; rewards v2 in 0 … 10, as they are (v1, normalised); the full 39-dimensional "
            "observation (12). Horizon and the one fixed goal of each task are the paper's.",
        ),
        Profile(
            name="mt10-plus",
            reward_version="v2",
            horizon=500,
            goals_per_task=50,
            observation="full",
            normalize_rewards=False,
            task_one_hot=True,
            differs=f"{_SIMULATOR}; rewards v2 in 0 … 10, as they are (v1, normalised); 50 goals a task, one drawn "
            "at each reset (one for the whole run); horizon 500 (150); the full observation with the task's "
            "indicator, 39 + K dimensions (12, without). This is MT10 as the Meta-World+ release runs it.",
        ),
    )
}


def get_profile(name: str) -> Profile:
    """The profile of that name; raises :class:`UserError` for an unknown one."""
    if name not in PROFILES:
        raise UserError(f"unknown MT10 profile {name!r}; choose from {', '.join(PROFILES)}.")
    return PROFILES[name]
