"""Several environments stepped one after another into arrays that they share: in this process, or in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from experiments.mt10.lean import LeanEnvironment
from experiments.mt10.observations import FULL_SIZE
from experiments.mt10.scene import get_scene
from experiments.mt10.stock import StockEnvironment
from experiments.mt10.tasks import ACTION_SIZE

State = tuple[np.ndarray, np.ndarray]  # physics state, last frame [18]


class TaskEnvironment(Protocol):
    """One task of one seed; see :class:`experiments.mt10.lean.LeanEnvironment`."""

    def reset(self, goal: int) -> np.ndarray: ...
    def step(self, action: list[float]) -> tuple[np.ndarray, float, bool]: ...
    def get_state(self) -> State: ...
    def set_state(self, goal: int, physics: np.ndarray, frame: np.ndarray, steps: int) -> None: ...
    def close(self) -> None: ...


BACKENDS: dict[str, Callable[[str, np.ndarray, str], TaskEnvironment]] = {
    "lean": LeanEnvironment,
    "stock": StockEnvironment,
}


@dataclass(frozen=True)
class Recipe:
    """How to make one environment, here or in another process."""

    task: str
    seed: int
    backend: str
    reward_version: str
    n_goals: int

    def make(self) -> TaskEnvironment:
        goals = get_scene(self.task).goals(self.seed, self.n_goals)
        return BACKENDS[self.backend](self.task, goals, self.reward_version)


@dataclass
class Exchange:
    """The arrays through which N environments are driven, in float64 and, for successes and goals, integers."""

    actions: np.ndarray  # [N, 4], in
    goals: np.ndarray  # [N], in
    observations: np.ndarray  # [N, 39], out
    rewards: np.ndarray  # [N], out
    successes: np.ndarray  # [N], out

    def rows(self, first: int, last: int) -> Exchange:
        """Views of the rows ``first`` … ``last`` − 1."""
        return Exchange(*(getattr(self, name)[first:last] for name in self.__dataclass_fields__))

    @staticmethod
    def layout(n: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shape and type of each array for ``n`` environments."""
        return {
            "actions": ((n, ACTION_SIZE), "d"),
            "goals": ((n,), "q"),
            "observations": ((n, FULL_SIZE), "d"),
            "rewards": ((n,), "d"),
            "successes": ((n,), "q"),
        }

    @classmethod
    def empty(cls, n: int) -> Exchange:
        return cls(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in cls.layout(n).items()})


class Batch:
    """Environments of the recipes, driven through ``exchange``."""

    def __init__(self, recipes: Sequence[Recipe], exchange: Exchange) -> None:
        self.exchange = exchange
        self._environments = [recipe.make() for recipe in recipes]

    def reset(self) -> None:
        """Start an episode in each, with its goal of ``exchange.goals``."""
        for i, (environment, goal) in enumerate(zip(self._environments, self.exchange.goals.tolist(), strict=True)):
            self.exchange.observations[i] = environment.reset(goal)

    def step(self) -> None:
        """One step of each, by ``exchange.actions``."""
        exchange = self.exchange
        observations = exchange.observations
        rewards, successes = [], []
        for i, (environment, action) in enumerate(zip(self._environments, exchange.actions.tolist(), strict=True)):
            observations[i], reward, success = environment.step(action)
            rewards.append(reward)
            successes.append(success)
        exchange.rewards[:] = rewards
        exchange.successes[:] = successes

    def get_states(self) -> list[State]:
        return [environment.get_state() for environment in self._environments]

    def set_states(self, states: Sequence[State], steps: int) -> None:
        """Go to states of :meth:`get_states`, ``steps`` steps after resets to the goals of ``exchange.goals``."""
        goals = self.exchange.goals.tolist()
        for environment, goal, (physics, frame) in zip(self._environments, goals, states, strict=True):
            environment.set_state(goal, physics, frame, steps)

    def close(self) -> None:
        for environment in self._environments:
            environment.close()
