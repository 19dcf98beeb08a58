"""Meta-World's scripted experts, and the mark that skips a test where MuJoCo cannot load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from experiments.common.errors import UserError
from experiments.mt10.simulator import load_simulator

try:
    load_simulator()
    _REASON = ""
except UserError as error:
    _REASON = str(error)

needs_simulator = pytest.mark.skipif(bool(_REASON), reason=_REASON)


def expert(task: str) -> Callable[[np.ndarray], np.ndarray]:
    """From an observation ``[39]`` to the expert's action ``[4]``, within [-1, 1]."""
    from metaworld.policies import ENV_POLICY_MAP

    policy: Any = ENV_POLICY_MAP[f"{task}-v3"]()  # type: ignore[abstract]
    return lambda observation: np.clip(policy.get_action(observation.astype(np.float64)), -1.0, 1.0)


def random_actions(n_steps: int, n_seeds: int, n_tasks: int) -> np.ndarray:
    """Actions ``[n_steps, S, K, 4]``, uniform."""
    return np.random.default_rng(0).uniform(-1, 1, (n_steps, n_seeds, n_tasks, 4)).astype(np.float32)
