"""Wrong input ends in one clear line."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10.environments import Environments, make_environments
from experiments.mt10.simulator import load_simulator
from tests.mt10.experts import needs_simulator, random_actions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"profile": "mt10"}, "unknown MT10 profile 'mt10'; choose from mt10-paper"),
        ({"tasks": ["reach", "juggle"]}, "unknown MT10 task 'juggle'; choose from reach"),
        ({"tasks": ["reach", "reach"]}, "each only once"),
        ({"tasks": []}, "at least one"),
        ({"backend": "fast"}, "unknown MT10 backend 'fast'; choose from lean, stock"),
        ({"seeds": []}, "at least one"),
        ({"seeds": [1, 1]}, "each only once"),
        ({"seeds": [-1]}, "from 0"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_what_cannot_be_made(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_environments(**{"profile": "mt10-fixed", **arguments})


@pytest.fixture
def environments() -> Environments:
    return make_environments("mt10-fixed", tasks=["reach", "push"], seeds=[3])


@needs_simulator
@pytest.mark.parametrize("shape", [(2, 4), (1, 2, 3), (2, 1, 4)])
def test_actions_of_a_wrong_shape(environments: Environments, shape: tuple[int, ...]) -> None:
    environments.reset()
    with pytest.raises(UserError, match=r"expected \(1, 2, 4\)"):
        environments.step(np.zeros(shape))


@needs_simulator
def test_actions_that_are_not_finite(environments: Environments) -> None:
    environments.reset()
    actions = random_actions(1, 1, 2)[0]
    expected = make_environments("mt10-fixed", tasks=["reach", "push"], seeds=[3])
    expected.reset()
    for bad in (np.nan, np.inf):
        broken = actions.copy()
        broken[0, 1, 2] = bad
        with pytest.raises(UserError, match=r"push \(seed 3\) are not finite"):
            environments.step(broken)
    np.testing.assert_array_equal(environments.step(actions).observations, expected.step(actions).observations)


@needs_simulator
def test_actions_outside_the_box_are_clipped(environments: Environments) -> None:
    other = make_environments("mt10-fixed", tasks=["reach", "push"], seeds=[3])
    other.reset()
    environments.reset()
    actions = random_actions(1, 1, 2)[0] * 3
    for x, y in zip(environments.step(actions), other.step(actions.clip(-1, 1)), strict=True):
        np.testing.assert_array_equal(x, y)


@needs_simulator
def test_steps_outside_an_episode(environments: Environments) -> None:
    actions = random_actions(1, 1, 2)[0]
    with pytest.raises(UserError, match="no episode has begun"):
        environments.step(actions)
    with pytest.raises(UserError, match="no episode has begun"):
        environments.physics(0, 0)
    environments.reset()
    for _ in range(environments.horizon):
        environments.step(actions)
    with pytest.raises(UserError, match=r"all 150 steps have been made; call reset\(\)"):
        environments.step(actions)
    environments.reset()
    environments.step(actions)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    load_simulator.cache_clear()
    monkeypatch.setitem(sys.modules, "metaworld", None)
    with pytest.raises(UserError, match=r"cannot load MuJoCo and Meta-World.*pip install metaworld==3\.1\.1"):
        make_environments("mt10-fixed")
    load_simulator.cache_clear()


@needs_simulator
def test_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    load_simulator.cache_clear()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "4.0.0")
    with pytest.raises(UserError, match=r"written for metaworld 3\.1\.1, found 4\.0\.0"):
        make_environments("mt10-fixed")
    load_simulator.cache_clear()
