"""The vectorised environments of MT10: K tasks for each of S seeds, stepped together.

S = seeds, K = tasks, O = observation size, A = 4 actions. All episodes have the profile's horizon and begin together.

    environments = make_environments("mt10-fixed", seeds=[0, 1])
    observations = environments.reset()           # [S, K, O]
    step = environments.step(actions)             # actions [S, K, A] in [-1, 1]
    environments.close()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from experiments.common.errors import UserError
from experiments.mt10.batch import BACKENDS, Batch, Exchange, Recipe
from experiments.mt10.normalize_rewards import RewardNormalizer
from experiments.mt10.observations import ObservationView
from experiments.mt10.profiles import Profile, get_profile
from experiments.mt10.scene import get_scene
from experiments.mt10.simulator import load_simulator
from experiments.mt10.tasks import ACTION_SIZE, TASKS, check_tasks
from experiments.mt10.workers import WorkerBatch

_GOAL_STREAM = 1  # keeps the generator that draws goals at resets apart from others of the same seed


class VectorStep(NamedTuple):
    """What one step of every environment gives.

    ``observations`` ``[S, K, O]`` float32: of the state after the step, never of the next episode. ``rewards``
    ``[S, K]`` float32: normalised where the profile says so. ``raw_rewards`` ``[S, K]`` float64: before that.
    ``successes`` ``[S, K]`` bool: at this step, by the v2 definition; an episode counts if any of its steps does.
    """

    observations: np.ndarray
    rewards: np.ndarray
    raw_rewards: np.ndarray
    successes: np.ndarray


class VectorEnvironment(Protocol):
    """What an agent is trained in and evaluated on."""

    observation_size: int
    action_size: int
    horizon: int  # steps of an episode

    @property
    def tasks(self) -> Sequence[str]:
        """Names, K."""

    @property
    def seeds(self) -> Sequence[int]:
        """Seeds, S."""

    def reset(self) -> np.ndarray:
        """Start an episode in every environment; observations ``[S, K, O]`` float32."""

    def begin_evaluation(self) -> None:
        """Of several goals that an evaluation takes in turn, have the next reset take the first."""

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step of every environment by actions ``[S, K, A]`` in [-1, 1]."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that later steps depend on, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was taken."""

    def close(self) -> None:
        """End worker processes and give memory back."""


class Environments:
    """Meta-World's tasks behind :class:`VectorEnvironment`; make it with :func:`make_environments`."""

    def __init__(
        self,
        profile: Profile,
        tasks: Sequence[str],
        seeds: Sequence[int],
        backend: str,
        workers: int,
        evaluation: bool,
    ) -> None:
        self.profile, self.tasks, self.seeds, self.backend = profile, tuple(tasks), tuple(seeds), backend
        self.horizon, self.action_size = profile.horizon, ACTION_SIZE
        self.evaluation = evaluation
        self._shape = (len(self.seeds), len(self.tasks))
        self._view = ObservationView(profile, len(self.tasks))
        self.observation_size = self._view.size
        self._recipes = [
            Recipe(task, seed, backend, profile.reward_version, profile.goals_per_task)
            for seed in self.seeds
            for task in self.tasks
        ]
        self._generators = [np.random.Generator(np.random.PCG64([seed, _GOAL_STREAM])) for seed in self.seeds]
        self._episodes = 0
        self._steps: int | None = None  # of the episode; None before the first
        normalize = profile.normalize_rewards and not evaluation
        self._normalizer = RewardNormalizer(self._shape) if normalize else None
        self._batch: Batch | WorkerBatch
        if workers:
            self._batch = WorkerBatch(self._recipes, workers)
        else:
            self._batch = Batch(self._recipes, Exchange.empty(len(self._recipes)))

    def reset(self) -> np.ndarray:
        """Start an episode in every environment; observations ``[S, K, O]`` float32.

        With several goals a task, training draws one for each environment, and evaluation takes them in turn, from
        the first one of :meth:`begin_evaluation` on.
        """
        exchange, n_goals = self._batch.exchange, self.profile.goals_per_task
        if n_goals > 1 and self.evaluation:
            exchange.goals[:] = self._episodes % n_goals
        elif n_goals > 1:
            exchange.goals[:] = np.concatenate([g.integers(n_goals, size=self._shape[1]) for g in self._generators])
        self._batch.reset()
        self._episodes += 1
        self._steps = 0
        return self._observations()

    def begin_evaluation(self) -> None:
        """Have the next reset take the first goal, so that all evaluations see the same; training draws its goals."""
        self._episodes = 0

    def step(self, actions: np.ndarray) -> VectorStep:
        """One step of every environment by actions ``[S, K, A]``; what lies outside [-1, 1] is clipped.

        Raises :class:`UserError` for a wrong shape, for values that are not finite, and outside an episode.
        """
        actions = np.asarray(actions, dtype=np.float64)
        if actions.shape != (*self._shape, ACTION_SIZE):
            raise UserError(
                f"actions have shape {actions.shape}, expected {(*self._shape, ACTION_SIZE)}: "
                f"{self._shape[0]} seeds, {self._shape[1]} tasks, {ACTION_SIZE} numbers each."
            )
        if not np.isfinite(actions).all():
            raise UserError(f"the actions for {self._culprits(actions)} are not finite; did the policy diverge?")
        if self._steps is None or self._steps >= self.horizon:
            state = "no episode has begun" if self._steps is None else f"all {self.horizon} steps have been made"
            raise UserError(f"{state}; call reset() before the next step.")
        exchange = self._batch.exchange
        exchange.actions[:] = actions.reshape(-1, ACTION_SIZE).clip(-1.0, 1.0)
        self._batch.step()
        self._steps += 1
        raw = exchange.rewards.reshape(self._shape).copy()
        rewards = raw if self._normalizer is None else self._normalizer(raw)
        successes = exchange.successes.reshape(self._shape) != 0
        return VectorStep(self._observations(), rewards.astype(np.float32), raw, successes)

    def state_dict(self) -> dict[str, Any]:
        """Physics, goals, reward statistics and random states, mid-episode too, as tensors and plain values."""
        states = self._batch.get_states() if self._steps is not None else []
        return {
            "profile": self.profile.name,
            "tasks": list(self.tasks),
            "seeds": list(self.seeds),
            "steps": self._steps,
            "episodes": self._episodes,
            "goals": self._batch.exchange.goals.tolist(),
            "generators": [_plain(generator.bit_generator.state) for generator in self._generators],
            "rewards": None if self._normalizer is None else self._normalizer.state_dict(),
            "physics": [torch.from_numpy(physics) for physics, _ in states],
            "frames": [torch.from_numpy(frame) for _, frame in states],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on exactly where :meth:`state_dict` was taken.

        Raises :class:`UserError` for a state of another profile, other tasks or seeds.
        """
        for name, ours in (("profile", self.profile.name), ("tasks", list(self.tasks)), ("seeds", list(self.seeds))):
            if state[name] != ours:
                raise UserError(f"the saved environments have {name} {state[name]!r}, these have {ours!r}.")
        if (state["rewards"] is None) != (self._normalizer is None):
            raise UserError("a state of training environments cannot be loaded for evaluation, or the reverse.")
        self._steps, self._episodes = state["steps"], state["episodes"]
        for generator, saved in zip(self._generators, state["generators"], strict=True):
            generator.bit_generator.state = saved
        if self._normalizer is not None:
            self._normalizer.load_state_dict(state["rewards"])
        self._batch.exchange.goals[:] = state["goals"]
        if self._steps is not None:
            pairs = zip(state["physics"], state["frames"], strict=True)
            self._batch.set_states([(physics.numpy(), frame.numpy()) for physics, frame in pairs], self._steps)

    def physics(self, seed_index: int, task_index: int) -> tuple[str, np.ndarray, np.ndarray]:
        """Task, goal vector and physics state of one environment, for drawing it."""
        if self._steps is None:
            raise UserError("no episode has begun; call reset() first.")
        index = seed_index * len(self.tasks) + task_index
        recipe = self._recipes[index]
        goals = get_scene(recipe.task).goals(recipe.seed, recipe.n_goals)
        return recipe.task, goals[self._batch.exchange.goals[index]], self._batch.get_states()[index][0]

    def close(self) -> None:
        """End worker processes and give memory back; calling it twice does no harm."""
        self._batch.close()

    def _observations(self) -> np.ndarray:
        return self._view(self._batch.exchange.observations.reshape(*self._shape, -1))

    def _culprits(self, actions: np.ndarray) -> str:
        bad = np.argwhere(~np.isfinite(actions).all(axis=-1))
        return ", ".join(f"{self.tasks[k]} (seed {self.seeds[s]})" for s, k in bad[:3]) + (
            " …" if len(bad) > 3 else ""
        )


def make_environments(
    profile: str,
    *,
    tasks: Sequence[str] = TASKS,
    seeds: Sequence[int] = (0,),
    backend: str = "lean",
    workers: int = 0,
    evaluation: bool = False,
) -> Environments:
    """Environments of ``profile`` for K ``tasks`` and S ``seeds``; a seed's goals do not depend on the others.

    ``backend``: ``lean``, or ``stock`` for Meta-World's own stepping code, which gives the same numbers slowly.
    ``workers``: processes among which the S·K environments are divided; 0 steps them in this one.
    ``evaluation``: the same goals, but rewards as they are, and several goals in turn.

    Raises :class:`UserError` for an unknown profile, task or backend, wrong seeds or workers, and where Meta-World
    or MuJoCo cannot be loaded.
    """
    chosen, names = get_profile(profile), check_tasks(tasks)
    if backend not in BACKENDS:
        raise UserError(f"unknown MT10 backend {backend!r}; choose from {', '.join(BACKENDS)}.")
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise UserError(f"seeds are {list(seeds)}; give at least one, each only once, from 0 to 4294967295.")
    if workers < 0:
        raise UserError(f"workers is {workers}; give a number of processes, or 0 to step in this one.")
    load_simulator()
    return Environments(chosen, names, [int(seed) for seed in seeds], backend, workers, evaluation)


def _plain(state: Any) -> Any:
    """A generator's state, made of plain values only."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return int(state) if isinstance(state, (int, np.integer)) else state
