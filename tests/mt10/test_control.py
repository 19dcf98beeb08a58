"""The small control problem: what good and random policies get, and that it goes on where it was saved."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10.control import CONTROL_TASKS, ControlEnvironment


def episode(
    environment: ControlEnvironment, policy: str, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Any-step success and return of one episode, both [S, K]."""
    environment.reset()
    shape = (len(environment.seeds), len(environment.tasks))
    success, total = np.zeros(shape, dtype=bool), np.zeros(shape)
    for _ in range(environment.horizon):
        if policy == "random":
            actions = random.uniform(-1, 1, (*shape, 2))
        else:  # towards the goal, in the frame of the task
            wanted = (environment.goals - environment.positions) / 0.15
            actions = np.einsum("kji,skj->ski", environment.frames, wanted)
        step = environment.step(actions.astype(np.float32))
        success |= step.successes
        total += step.raw_rewards
    return success, total


def test_the_goal_can_be_reached_and_not_by_chance() -> None:
    random = np.random.default_rng(0)
    environment = ControlEnvironment(seeds=range(50))
    by_plan, good = episode(environment, "plan", random)
    by_chance, poor = episode(environment, "random", random)
    assert by_plan.all() and by_chance.mean() < 0.05
    assert good.min() > 10 > 6 > poor.mean()


def test_the_tasks_want_different_actions_for_the_same_offset() -> None:
    frames = ControlEnvironment().frames
    moved = frames @ np.array([1.0, 0.0])
    assert len({tuple(row.round(6)) for row in moved}) == len(CONTROL_TASKS)
    np.testing.assert_allclose(np.linalg.det(frames), 1.0)


def test_an_episode_goes_on_where_it_was_saved() -> None:
    random = np.random.default_rng(1)
    ours, other = (ControlEnvironment(tasks=("north", "east"), seeds=(3, 4)) for _ in range(2))
    ours.reset()
    ours.step(random.uniform(-1, 1, (2, 2, 2)))
    other.load_state_dict(ours.state_dict())
    for _ in range(2 * ours.horizon):
        if ours.elapsed == ours.horizon:
            np.testing.assert_array_equal(ours.reset(), other.reset())
        actions = random.uniform(-1, 1, (2, 2, 2))
        for mine, theirs in zip(ours.step(actions), other.step(actions), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_a_seed_has_its_own_starts_and_evaluation_others() -> None:
    both = ControlEnvironment(seeds=(5, 6)).reset()
    alone = ControlEnvironment(seeds=(6,)).reset()
    np.testing.assert_array_equal(both[1], alone[0])
    assert not np.array_equal(alone, ControlEnvironment(seeds=(6,), evaluation=True).reset())


def test_what_cannot_be_done_is_named() -> None:
    with pytest.raises(UserError, match="no control task 'up'; choose from east"):
        ControlEnvironment(tasks=("up",))
    environment = ControlEnvironment(tasks=("east",))
    with pytest.raises(UserError, match=r"steps are over; call reset\(\)"):
        environment.step(np.zeros((1, 1, 2)))
    environment.reset()
    with pytest.raises(UserError, match="not finite"):
        environment.step(np.full((1, 1, 2), np.nan))
