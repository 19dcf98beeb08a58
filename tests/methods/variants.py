"""The methods, and the variants of them whose code differs from the key's default, as parameters of tests."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

from methods import METHODS, Method
from tests.methods.samplers import GRADIENT_METHODS, make

every_method = pytest.mark.parametrize("key", list(METHODS))
#: Those with task weights of a shared gradient G·w; GradDrop has none.
WEIGHTED = tuple(key for key in METHODS if key != "graddrop")
#: Variants whose code differs from the key's default.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{key: (key, {}) for key in METHODS},
    "imtl_g, shared": ("imtl_g", {"gradients": "shared"}),
    "nash_mtl, features": ("nash_mtl", {"gradients": "representation", "update_weights_every": 2}),
    "cagrad, features": ("cagrad", {"gradients": "representation"}),
    "pcgrad, features": ("pcgrad", {"gradients": "representation"}),
    "aligned_mtl, features": ("aligned_mtl", {"gradients": "representation", "scale_mode": "median"}),
    "fairgrad, features": ("fairgrad", {"gradients": "representation", "alpha": 0.5}),
    "nash_mtl, every 3": ("nash_mtl", {"update_weights_every": 3}),
    "nash_mtl, ccp": ("nash_mtl", {"solver": "ccp", "ccp_steps": 2}),
    "dwa, window 2": ("dwa", {"window": 2}),
}
every_variant = pytest.mark.parametrize("variant", list(VARIANTS))
#: Gradient methods with a choice of what they differentiate.
CASES = [(key, {}) for key in METHODS] + [
    ("imtl_g", {"gradients": "shared"}),
    ("nash_mtl", {"gradients": "representation"}),
    ("nash_mtl", {"update_weights_every": 2}),
    ("nash_mtl", {"weight_heads": False, "update_weights_every": 2}),
    ("nash_mtl", {"task_gradients": "batched"}),
    ("fairgrad", {"alpha": 0.5, "weight_heads": True}),
    ("aligned_mtl", {"scale_mode": "rmse"}),
    ("aligned_mtl", {"gradients": "representation"}),
]
every_case = pytest.mark.parametrize(("key", "options"), CASES, ids=[f"{k}{o or ''}" for k, o in CASES])


def make_variant(variant: str, n_tasks: int, **more: Any) -> Method:
    key, options = VARIANTS[variant]
    return make(key, n_tasks, **options, **more)


def unclipped(key: str) -> dict[str, Any]:
    return {"max_norm": 0.0} if key in GRADIENT_METHODS else {}


def assert_finite(problem: nn.Module) -> None:
    for parameter in problem.parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all())
