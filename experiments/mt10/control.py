"""A small analytic control problem with several tasks: points in the plane that are steered to their goals.

It stands in for Meta-World where a test needs a learner to succeed in seconds; no physics package is involved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.common.errors import UserError
from experiments.mt10.environments import VectorStep

CONTROL_TASKS = ("east", "north", "west", "south")

_HORIZON = 20
_STEP = 0.15
_GOAL_DISTANCE = 1.0
_SUCCESS_DISTANCE = 0.15
_START_SPREAD = 0.1


class ControlEnvironment:
    """Point k starts near the origin and is to reach its goal, at distance 1 in its task's direction.

    Observations ``[position, goal]`` are all that tells the tasks apart; an action moves a point by at most 0.15 a
    coordinate, in a frame that is turned by its task's angle, so that the tasks want different actions for the same
    offset to the goal. Reward: exp(−2·distance); success: closer than 0.15. Episodes take 20 steps. The
    only random numbers are the starting points, from one generator a seed, apart for training and evaluation.
    Implements :class:`experiments.mt10.environments.VectorEnvironment`.

    Raises :class:`UserError` for an unknown task.
    """

    observation_size, action_size, horizon = 4, 2, _HORIZON

    def __init__(
        self, *, tasks: Sequence[str] = CONTROL_TASKS, seeds: Sequence[int] = (0,), evaluation: bool = False
    ) -> None:
        if unknown := [task for task in tasks if task not in CONTROL_TASKS]:
            raise UserError(f"there is no control task {unknown[0]!r}; choose from {', '.join(CONTROL_TASKS)}.")
        self.tasks, self.seeds = tuple(tasks), tuple(seeds)
        angles = np.array([2 * math.pi * CONTROL_TASKS.index(task) / len(CONTROL_TASKS) for task in tasks])
        cosine, sine = np.cos(angles), np.sin(angles)
        self.goals = _GOAL_DISTANCE * np.stack([cosine, sine], axis=-1)  # [K, 2]
        half_cosine, half_sine = np.cos(angles / 2), np.sin(angles / 2)
        rows = [[half_cosine, -half_sine], [half_sine, half_cosine]]
        self.frames: np.ndarray = np.array(rows).transpose(2, 0, 1)  # [K, 2, 2]
        self.generators = [np.random.default_rng((seed, int(evaluation))) for seed in seeds]
        self.positions = np.zeros((len(self.seeds), len(self.tasks), 2))
        self.elapsed = _HORIZON  # a step needs a reset first

    def reset(self) -> np.ndarray:
        shape = (len(self.tasks), 2)
        self.positions = _START_SPREAD * np.stack([random.standard_normal(shape) for random in self.generators])
        self.elapsed = 0
        return self._observations()

    def begin_evaluation(self) -> None:
        """The goals are fixed."""

    def step(self, actions: np.ndarray) -> VectorStep:
        """Raises :class:`UserError` past the horizon or for actions that are not finite."""
        if self.elapsed >= _HORIZON:
            raise UserError(f"the episode's {_HORIZON} steps are over; call reset().")
        if not np.isfinite(actions).all():
            raise UserError("an action is not finite; the policy has diverged.")
        moved = np.einsum("kij,skj->ski", self.frames, np.clip(actions, -1.0, 1.0).astype(np.float64))
        self.positions = self.positions + _STEP * moved
        self.elapsed += 1
        distance = np.linalg.norm(self.positions - self.goals, axis=-1)  # [S, K]
        rewards = np.exp(-2.0 * distance)
        return VectorStep(
            observations=self._observations(),
            rewards=rewards.astype(np.float32),
            raw_rewards=rewards,
            successes=distance < _SUCCESS_DISTANCE,
        )

    def state_dict(self) -> dict[str, Any]:
        return {
            "positions": self.positions.tolist(),
            "elapsed": self.elapsed,
            "generators": [copy.deepcopy(random.bit_generator.state) for random in self.generators],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.positions = np.array(state["positions"], dtype=np.float64)
        self.elapsed = int(state["elapsed"])
        for random, saved in zip(self.generators, state["generators"], strict=True):
            random.bit_generator.state = saved

    def close(self) -> None:
        """Nothing is held open."""

    def _observations(self) -> np.ndarray:
        goals = np.broadcast_to(self.goals, self.positions.shape)
        return np.concatenate([self.positions, goals], axis=-1).astype(np.float32)
