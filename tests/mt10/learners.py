"""Small learners and random transitions for the tests of the learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.mt10.learner import Learner
from experiments.mt10.replay import Batch, Replay
from experiments.mt10.sac import SACOptions
from methods import get_method

#: Agents whose tasks share parameters.
SHARED_AGENTS = ("mtl_sac", "mtl_sac_te", "mh_sac", "soft_modularization", "care")
N_TASKS, OBSERVATIONS, ACTIONS = 3, 6, 2
TASKS = ("reach", "push", "drawer-close")


def small_learner(
    agent: str = "mtl_sac",
    method: str = "ls",
    *,
    seeds: Sequence[int] = (0,),
    method_options: dict[str, Any] | None = None,
    **options: Any,
) -> Learner:
    settings = {"width": 16, "encoding_size": 8, "experts": 2, **options}

    def make_method(seed: int) -> Any:
        return get_method(method, N_TASKS, **own_seed(method, seed), **(method_options or {}))

    return Learner(
        agent,
        n_tasks=N_TASKS,
        observation_size=OBSERVATIONS,
        action_size=ACTIONS,
        seeds=seeds,
        make_method=make_method,
        options=SACOptions(**settings),
        tasks=TASKS,
    )


def own_seed(method: str, seed: int) -> dict[str, int]:
    """The option that methods with random draws of their own have."""
    return {"seed": seed} if method in ("pcgrad", "rlw", "graddrop") else {}


def random_batch(n_seeds: int = 1, samples: int = 5, seed: int = 0, weights: Tensor | None = None) -> Batch:
    """Every seed's own transitions; those of one seed do not depend on how many there are."""
    parts = []
    for s in range(n_seeds):
        generator = torch.Generator().manual_seed(1000 * seed + s)
        shape = (N_TASKS, samples)
        parts.append(
            (
                torch.randn(*shape, OBSERVATIONS, generator=generator),
                2.0 * torch.rand(*shape, ACTIONS, generator=generator) - 1.0,
                torch.randn(shape, generator=generator),
                torch.randn(*shape, OBSERVATIONS, generator=generator),
            )
        )
    return Batch(*(torch.stack(own) for own in zip(*parts, strict=True)), weights)


def updated(learner: Learner, updates: int = 3, n_seeds: int = 1) -> Learner:
    """The learner after updates from :func:`random_batch`."""
    for step in range(updates):
        learner.update(random_batch(n_seeds, seed=step))
    return learner


def filled_replay(n_seeds: int = 1, transitions: int = 20, capacity: int = 50, **options: Any) -> Replay:
    """A buffer whose transition t of seed s and task k is marked by the reward 10000 s + 100 k + t."""
    replay = Replay(n_seeds, N_TASKS, capacity, OBSERVATIONS, ACTIONS, **options)
    for t in range(transitions):
        add_marked(replay, t)
    return replay


def add_marked(replay: Replay, t: int) -> None:
    s = torch.arange(replay.n_seeds)[:, None] * 10000.0
    marks = s + torch.arange(N_TASKS) * 100.0 + t  # [S, K]
    observations = marks[..., None].expand(-1, -1, OBSERVATIONS) + torch.arange(OBSERVATIONS) / 10.0
    actions = marks[..., None].expand(-1, -1, ACTIONS)
    replay.add(observations, actions, marks, observations + 0.5)
