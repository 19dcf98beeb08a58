"""What a resumed run needs: a method's state, and the random numbers of those that draw some."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from torch import Tensor

from methods import Method
from tests.methods.samplers import Problem, make
from tests.methods.variants import every_variant, make_variant


def train(problem: Problem, method: Method, optimiser: torch.optim.Optimizer, steps: int) -> None:
    for _ in range(steps):
        problem.backward(method)
        optimiser.step()


def adam(problem: Problem, method: Method) -> torch.optim.Optimizer:
    return torch.optim.Adam([*(p for p in problem.parameters() if p.requires_grad), *method.parameters()], lr=0.02)


@every_variant
def test_a_resumed_run_continues_bit_for_bit(variant: str) -> None:
    whole, method = Problem(3), make_variant(variant, 3)
    optimiser = adam(whole, method)
    train(whole, method, optimiser, 5)  # neither at a weight update nor at a window's end
    buffer = io.BytesIO()
    torch.save(
        {"model": whole.state_dict(), "method": method.state_dict(), "optimiser": optimiser.state_dict()}, buffer
    )
    train(whole, method, optimiser, 6)

    buffer.seek(0)
    state = torch.load(buffer, weights_only=True)
    resumed, restored = Problem(3, seed=1), make_variant(variant, 3)
    resumed.inputs, resumed.targets = whole.inputs, whole.targets
    second = adam(resumed, restored)
    resumed.load_state_dict(state["model"])
    restored.load_state_dict(state["method"])
    second.load_state_dict(state["optimiser"])
    train(resumed, restored, second, 6)
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(method.parameters(), restored.parameters(), strict=True):
        assert torch.equal(a, b)


@every_variant
def test_a_saved_state_does_not_move_with_the_run(variant: str) -> None:
    problem, method = Problem(3), make_variant(variant, 3)
    optimiser = adam(problem, method)
    train(problem, method, optimiser, 3)
    state = method.state_dict()
    copy = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
    train(problem, method, optimiser, 4)
    for key, value in state.items():
        assert torch.equal(value, copy[key]) if isinstance(value, Tensor) else value == copy[key]


@pytest.mark.parametrize(("saved", "other"), [("nash_mtl", "dwa"), ("ls", "uw"), ("rlw", "ls")])
def test_another_methods_state_is_refused(saved: str, other: str) -> None:
    with pytest.raises(ValueError, match="was it saved by another method"):
        make(other, 3).load_state_dict(make(saved, 3).state_dict())


@pytest.mark.parametrize("key", ["rlw", "pcgrad", "graddrop"])
def test_random_methods_follow_their_seed(key: str) -> None:
    def run(seed: int) -> np.ndarray:
        problem, method = Problem(3), make(key, 3, seed=seed)
        # conflicts, so that PCGrad's order and GradDrop's signs matter
        for _ in range(4):
            losses = problem.losses()
            problem.backward(method, [losses[0], losses[1] - 1.5 * losses[0], losses[2] - losses[1]])
        return problem.written()

    assert np.array_equal(run(0), run(0))
    assert any(not np.array_equal(run(0), run(seed)) for seed in (1, 2, 3))
