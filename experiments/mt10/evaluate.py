"""Success of a policy: its mean actions over whole episodes in environments of their own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from experiments.common.interruption import uninterrupted
from experiments.mt10.environments import VectorEnvironment
from experiments.mt10.learner import Learner


class EpisodeStatistics(NamedTuple):
    """``success`` ``[S, K]``: share of the episodes with a success at any step; ``returns`` ``[S, K]``: mean sum of
    an episode's rewards, before any normalisation."""

    success: np.ndarray
    returns: np.ndarray


def evaluate(learner: Learner, environment: VectorEnvironment, episodes: int) -> EpisodeStatistics:
    """Play ``episodes`` episodes of every seed and task, without exploration and without drawing a random number of
    the learner's. Of several goals they are the first ones, in every evaluation.

    Raises :class:`experiments.common.interruption.Interrupted` after a signal, in the midst of an episode."""
    shape = (len(environment.seeds), len(environment.tasks))
    success, returns = np.zeros(shape), np.zeros(shape)
    environment.begin_evaluation()
    for _ in range(episodes):
        observations = environment.reset()
        succeeded = np.zeros(shape, dtype=bool)
        for _ in uninterrupted(range(environment.horizon)):
            actions = learner.act(torch.from_numpy(observations).to(learner.device), deterministic=True)
            step = environment.step(actions.cpu().numpy())
            observations = step.observations
            succeeded |= step.successes
            returns += step.raw_rewards
        success += succeeded
    return EpisodeStatistics(success / episodes, returns / episodes)
