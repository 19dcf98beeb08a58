"""Saved environments go on to the same numbers, bit for bit."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.mt10.environments import Environments, VectorStep, make_environments
from tests.mt10.experts import needs_simulator, random_actions

pytestmark = needs_simulator
_TASKS = ["push", "door-open", "peg-insert-side", "window-close"]


def through_a_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def play_on(environments: Environments, actions: np.ndarray) -> list[VectorStep | np.ndarray]:
    """Two more episodes' beginnings after the rest of this one: statistics and drawn goals go on, too."""
    played: list[VectorStep | np.ndarray] = [environments.step(a) for a in actions]
    for _ in range(2):
        played.append(environments.reset())
        played += [environments.step(a) for a in actions[:5]]
    return played


def assert_same(one: list[Any], other: list[Any]) -> None:
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(
    ("profile", "backend"), [("mt10-paper", "lean"), ("mt10-paper", "stock"), ("mt10-plus", "lean")]
)
def test_resumes_mid_episode(profile: str, backend: str) -> None:
    actions = random_actions(90, 2, len(_TASKS))
    before = make_environments(profile, tasks=_TASKS, seeds=[1, 2], backend=backend)
    before.reset()
    for a in actions[:60]:
        before.step(a)
    state = through_a_file(before.state_dict())
    after = make_environments(profile, tasks=_TASKS, seeds=[1, 2], backend=backend)
    after.reset()
    after.step(actions[0])
    after.load_state_dict(state)
    assert_same(play_on(before, actions[60:]), play_on(after, actions[60:]))


def test_a_state_does_not_depend_on_the_backend() -> None:
    stock = make_environments("mt10-fixed", tasks=_TASKS, backend="stock")
    lean = make_environments("mt10-fixed", tasks=_TASKS)
    stock.reset()
    for a in random_actions(20, 1, len(_TASKS)):
        stock.step(a)
    lean.load_state_dict(stock.state_dict())
    for a in random_actions(20, 1, len(_TASKS)):
        one, other = stock.step(a), lean.step(a)
        np.testing.assert_allclose(one.observations, other.observations, rtol=0, atol=1e-6)
        np.testing.assert_allclose(one.raw_rewards, other.raw_rewards, rtol=0, atol=1e-9)


def test_the_number_of_steps_made_is_kept() -> None:
    one = make_environments("mt10-fixed", tasks=["reach"])
    actions = random_actions(150, 1, 1)
    one.reset()
    for a in actions:
        one.step(a)
    other = make_environments("mt10-fixed", tasks=["reach"])
    other.load_state_dict(one.state_dict())
    with pytest.raises(UserError, match="all 150 steps"):
        other.step(actions[0])


def test_a_state_from_before_the_first_episode() -> None:
    fresh = make_environments("mt10-plus", tasks=["reach"])
    other = make_environments("mt10-plus", tasks=["reach"])
    other.reset()
    other.load_state_dict(through_a_file(fresh.state_dict()))
    np.testing.assert_array_equal(other.reset(), fresh.reset())


def test_foreign_states_are_refused() -> None:
    state = make_environments("mt10-paper", tasks=["reach"]).state_dict()
    for message, other in (
        ("profile", make_environments("mt10-fixed", tasks=["reach"])),
        ("tasks", make_environments("mt10-paper", tasks=["push"])),
        ("seeds", make_environments("mt10-paper", tasks=["reach"], seeds=[1])),
        ("evaluation", make_environments("mt10-paper", tasks=["reach"], evaluation=True)),
    ):
        with pytest.raises(UserError, match=message):
            other.load_state_dict(state)
