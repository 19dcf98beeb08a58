"""The lean environments give the stock ones' numbers, and experts succeed in both."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from experiments.mt10.lean import LeanEnvironment
from experiments.mt10.rewards_v2 import REWARDS
from experiments.mt10.scene import get_scene
from experiments.mt10.stock import StockEnvironment
from experiments.mt10.tasks import TASKS
from tests.mt10.experts import expert, needs_simulator

pytestmark = [needs_simulator, pytest.mark.filterwarnings("ignore:Constant")]
_SEED, _HORIZON = 3, 150


@functools.cache  # compiling is what takes time, and resets do not depend on what was before
def pair(task: str, version: str) -> tuple[StockEnvironment, LeanEnvironment]:
    goals = get_scene(task).goals(_SEED, 2)
    return StockEnvironment(task, goals, version), LeanEnvironment(task, goals, version)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("task", TASKS)
def test_same_observations_rewards_and_success_over_expert_episodes(task: str, version: str) -> None:
    stock, lean = pair(task, version)
    policy, noise = expert(task), np.random.default_rng(0)
    for goal in (1, 0):  # not in the order in which the goals were made
        theirs, ours = [(stock.reset(goal), 0.0, False)], [(lean.reset(goal).copy(), 0.0, False)]
        for _ in range(_HORIZON):
            # One expert episode as it is, and one with noise, which grasps less cleanly and bumps into more.
            action = np.clip(policy(theirs[-1][0]) + goal * 0.3 * noise.normal(size=4), -1, 1).tolist()
            theirs.append(stock.step(action))
            observation, reward, success = lean.step(action)
            ours.append((observation.copy(), reward, success))
        (observations, rewards, successes), (our_observations, our_rewards, our_successes) = (
            zip(*episode, strict=True) for episode in (theirs, ours)
        )
        np.testing.assert_allclose(our_observations, observations, rtol=0, atol=1e-9)
        np.testing.assert_allclose(our_rewards, rewards, rtol=2e-10, atol=1e-8)  # v1: up to 2,300
        assert our_successes == successes
        assert any(our_successes) or goal == 1


@pytest.mark.parametrize("task", TASKS)
def test_a_reset_does_not_depend_on_what_was_before(task: str) -> None:
    stock, lean = pair(task, "v2")
    for goal in (0, 1, 0):
        np.testing.assert_array_equal(stock.reset(goal), lean.reset(goal))
        for _ in range(3):
            np.testing.assert_allclose(
                stock.step([1.0, -1.0, 0.5, 1.0])[0], lean.step([1.0, -1.0, 0.5, 1.0])[0], atol=1e-12
            )


def test_environments_of_one_task_share_a_model_but_not_its_furniture() -> None:
    goals = get_scene("door-open").goals(_SEED, 2)
    alone = LeanEnvironment("door-open", goals, "v2")
    alone.reset(0)
    expected = [alone.step([1.0, 1.0, 0.0, 1.0])[0].copy() for _ in range(20)]
    one, other = (LeanEnvironment("door-open", goals, "v2") for _ in range(2))
    one.reset(0)
    other.reset(1)
    for observation in expected:
        other.step([-1.0, 1.0, 0.0, 1.0])
        np.testing.assert_array_equal(one.step([1.0, 1.0, 0.0, 1.0])[0], observation)


def test_old_rewards_alone_would_never_call_the_peg_task_a_success() -> None:
    """What the profile's own criterion is for: the stock class under v1 says no where the v2 criterion says yes."""
    stock, _ = pair("peg-insert-side", "v1")
    policy, observation = expert("peg-insert-side"), stock.reset(0)
    ours, theirs = False, False
    for _ in range(_HORIZON):
        action = policy(observation).tolist()
        observation, _, success = stock.step(action)
        _, info = stock._environment.evaluate_state(observation, np.array(action))
        ours, theirs = ours or success, theirs or bool(info["success"])
    assert ours and not theirs


def test_every_task_has_its_rewards() -> None:
    from experiments.mt10.rewards_v1 import REWARDS as OLD

    assert set(REWARDS) == set(OLD) == set(TASKS)
