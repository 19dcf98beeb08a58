"""What each profile shows and pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.mt10.environments import make_environments
from experiments.mt10.normalize_rewards import RewardNormalizer
from experiments.mt10.profiles import PROFILES
from tests.mt10.experts import needs_simulator, random_actions

_TASKS = ["reach", "window-close"]


def test_names_and_differences() -> None:
    assert list(PROFILES) == ["mt10-paper", "mt10-fixed", "mt10-plus"]
    assert all(profile.name == name and "2021" in profile.differs for name, profile in PROFILES.items())


@needs_simulator
def test_views_are_parts_of_the_same_observation() -> None:
    full = make_environments("mt10-fixed", tasks=_TASKS)
    paper = make_environments("mt10-paper", tasks=_TASKS)
    plus = make_environments("mt10-plus", tasks=_TASKS)
    assert (paper.observation_size, full.observation_size, plus.observation_size) == (12, 39, 41)
    assert (paper.horizon, full.horizon, plus.horizon) == (150, 150, 500)
    whole, view = full.reset(), paper.reset()
    assert whole.dtype == view.dtype == np.float32
    for actions in random_actions(5, 1, 2):
        np.testing.assert_array_equal(
            view, np.concatenate([whole[..., a:b] for a, b in ((0, 3), (4, 7), (11, 14), (36, 39))], axis=-1)
        )
        whole, view = full.step(actions).observations, paper.step(actions).observations
    indicators = plus.reset()[0, :, 39:]
    np.testing.assert_array_equal(indicators, np.eye(2))
    np.testing.assert_array_equal(plus.step(random_actions(1, 1, 2)[0]).observations[0, :, 39:], np.eye(2))


@needs_simulator
def test_the_previous_frame_is_that_of_the_step_before() -> None:
    environments = make_environments("mt10-fixed", tasks=_TASKS)
    before = environments.reset()
    for actions in random_actions(4, 1, 2):
        after = environments.step(actions).observations
        np.testing.assert_array_equal(after[..., 18:36], before[..., :18])
        assert (after[..., :3] != before[..., :3]).any()
        before = after


@needs_simulator
def test_only_the_papers_training_normalises_rewards() -> None:
    for name, profile in PROFILES.items():
        for evaluation in (False, True):
            environments = make_environments(name, tasks=_TASKS, evaluation=evaluation)
            environments.reset()
            normalizer = RewardNormalizer((1, 2))
            for actions in random_actions(10, 1, 2):
                step = environments.step(actions)
                expected = normalizer(step.raw_rewards)
                if not (profile.normalize_rewards and not evaluation):
                    expected = step.raw_rewards
                np.testing.assert_array_equal(step.rewards, expected.astype(np.float32))


def test_normalisation_divides_by_the_deviation_of_an_exponential_average() -> None:
    rewards = np.random.default_rng(0).normal(3.0, 2.0, size=(4000, 1, 2))
    normalizer = RewardNormalizer((1, 2))
    mean, variance = np.zeros(2), np.ones(2)
    for reward in rewards:
        mean = 0.999 * mean + 0.001 * reward[0]
        variance = 0.999 * variance + 0.001 * (reward[0] - mean) ** 2
        np.testing.assert_allclose(normalizer(reward)[0], reward[0] / (np.sqrt(variance) + 1e-8), rtol=1e-9)


def test_normalisation_goes_on_where_it_was_saved() -> None:
    one, other = RewardNormalizer((1, 1)), RewardNormalizer((1, 1))
    for reward in (3.0, -1.0):
        one(np.full((1, 1), reward))
    state = one.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    other.load_state_dict(state)
    assert one(np.full((1, 1), 2.0)) == other(np.full((1, 1), 2.0)) == pytest.approx(2.0, rel=0.05)


@needs_simulator
@pytest.mark.parametrize("backend", ["lean", "stock"])
def test_an_episode_has_the_whole_horizon(backend: str) -> None:
    environments = make_environments("mt10-plus", tasks=["window-open"], backend=backend)
    environments.reset()
    for actions in random_actions(environments.horizon, 1, 1):
        step = environments.step(actions)
    assert np.isfinite(step.observations).all()
    environments.reset()
    environments.step(actions)
