"""Steps by hand, from gradients that were computed elsewhere, against ``backward`` on the same problem."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from methods import GradientMethod, GramianWeighting, Method, NonFiniteGradient
from methods.gradients import TaskGradients, compute_task_gradients, trainable
from tests.methods.samplers import GRADIENT_METHODS, Problem, make

#: Options under which a method takes gradients of the shared parameters.
OPTIONS: dict[str, dict[str, Any]] = {key: {} for key in GRADIENT_METHODS} | {"imtl_g": {"gradients": "shared"}}
every_gradient_method = pytest.mark.parametrize("key", list(OPTIONS))
N_TASKS = 3


def gradient_method(key: str, n_tasks: int = N_TASKS, **options: Any) -> GradientMethod:
    method = make(key, n_tasks, **{**OPTIONS[key], **options})
    assert isinstance(method, GradientMethod)
    return method


def gradients_elsewhere(problem: Problem) -> TaskGradients:
    return compute_task_gradients(problem.losses(), trainable(problem.shared()), strategy="loop")


def weighted_elsewhere(problem: Problem, weights: Tensor) -> list[Tensor | None]:
    return gradients_elsewhere(problem).combine(weights)


def check_written(problem: Problem, gradients: list[Tensor | None]) -> None:
    """``gradients`` are those that ``backward`` wrote."""
    for parameter, gradient in zip(trainable(problem.shared()), gradients, strict=True):
        assert (parameter.grad is None) == (gradient is None)
        if gradient is not None:
            assert torch.allclose(gradient, parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("max_norm", [0.0, 0.3])
@every_gradient_method
def test_task_gradients_give_what_backward_writes(key: str, max_norm: float) -> None:
    problem = Problem(N_TASKS)
    whole, by_hand = (gradient_method(key, max_norm=max_norm) for _ in range(2))
    for _ in range(3):
        expected = problem.backward(whole)
        gradients, step = by_hand.step_from_task_gradients(gradients_elsewhere(problem), problem.losses())
        check_written(problem, gradients)
        assert set(step.diagnostics) == set(expected.diagnostics)
        assert (step.weights is None) == (expected.weights is None)
        if step.weights is not None:
            assert torch.allclose(step.weights, expected.weights, rtol=1e-9)


@every_gradient_method
def test_a_gramian_is_enough_for_the_weights(key: str) -> None:
    method = gradient_method(key)
    if not isinstance(method, GramianWeighting):
        pytest.skip(f"{key} works on the gradients themselves")
    problem = Problem(N_TASKS)
    step = method.step_from_gramian(gradients_elsewhere(problem).gramian())
    expected = problem.backward(gradient_method(key))
    assert torch.allclose(step.weights, expected.weights, rtol=1e-9)


@pytest.mark.parametrize("max_norm", [0.0, 0.3])
def test_weights_are_reused_as_in_backward(max_norm: float) -> None:
    options = {"update_weights_every": 3, "max_norm": max_norm}
    whole, by_hand = (gradient_method("nash_mtl", **options) for _ in range(2))
    for step_number in range(7):
        problem = Problem(N_TASKS, seed=step_number)
        expected = problem.backward(whole)
        weights = by_hand.reused_weights()
        assert (weights is None) == (step_number % 3 == 0)
        if weights is None:
            gradients, step = by_hand.step_from_task_gradients(gradients_elsewhere(problem))
        else:
            gradients, step = by_hand.step_from_weighted_gradient(weighted_elsewhere(problem, weights))
        assert step.diagnostics.get("status") == expected.diagnostics["status"]
        assert torch.allclose(step.weights, expected.weights, rtol=1e-9)
        check_written(problem, gradients)
        assert by_hand.state_dict()["step"] == whole.state_dict()["step"]


def test_weights_may_be_reused_without_the_gradient() -> None:
    method = gradient_method("nash_mtl", update_weights_every=2)
    first = method.step_from_gramian(torch.eye(N_TASKS, dtype=torch.float64) * 4.0)
    second = method.step_with_reused_weights()
    assert torch.equal(first.weights, second.weights)
    assert method.reused_weights() is None
    with pytest.raises(ValueError, match="no weights to reuse"):
        method.step_with_reused_weights()


@every_gradient_method
def test_no_method_but_nash_mtl_reuses_weights(key: str) -> None:
    method = gradient_method(key)
    method.step_from_task_gradients(gradients_elsewhere(Problem(N_TASKS)))
    assert method.reused_weights() is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@every_gradient_method
def test_what_is_not_finite_is_named_and_leaves_the_state(key: str, value: float) -> None:
    method = gradient_method(key)
    before = {name: str(entry) for name, entry in method.state_dict().items() if name != "generator"}
    gradients = gradients_elsewhere(Problem(N_TASKS))
    assert gradients.per_tensor[0] is not None
    gradients.per_tensor[0][1, 0] = value
    with pytest.raises(NonFiniteGradient, match=r"tasks \[1\]"):
        method.step_from_task_gradients(gradients)
    if isinstance(method, GramianWeighting):
        with pytest.raises(NonFiniteGradient, match=r"tasks \[1\]"):
            method.step_from_gramian(gradients.gramian())
    assert {name: str(entry) for name, entry in method.state_dict().items() if name != "generator"} == before


def test_a_weighted_gradient_that_is_not_finite_leaves_the_state() -> None:
    method = gradient_method("nash_mtl", update_weights_every=2)
    method.step_from_gramian(torch.eye(N_TASKS, dtype=torch.float64))
    with pytest.raises(NonFiniteGradient):
        method.step_from_weighted_gradient([torch.tensor([float("nan")])])
    assert method.reused_weights() is not None


@every_gradient_method
def test_another_number_of_tasks_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="gradients of 4 tasks for a method of 3"):
        gradient_method(key).step_from_task_gradients(gradients_elsewhere(Problem(4)))


@every_gradient_method
def test_autocast_does_not_round_the_combination(key: str) -> None:
    plain, cast = gradient_method(key), gradient_method(key)
    gradients = compute_task_gradients(
        (problem := Problem(N_TASKS, dtype=torch.float32)).losses(), trainable(problem.shared())
    )
    expected, _ = plain.step_from_task_gradients(gradients)
    with torch.autocast("cpu", torch.bfloat16):
        ours, _ = cast.step_from_task_gradients(gradients)
    for a, b in zip(ours, expected, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.equal(a, b)


def test_gradients_of_the_representation_cannot_be_replaced() -> None:
    method: Method = make("imtl_g", N_TASKS)
    assert method.needs_representation
    assert isinstance(method, GramianWeighting)
    with pytest.raises(ValueError, match='construct it with gradients="shared"'):
        method.step_from_task_gradients(gradients_elsewhere(Problem(N_TASKS)))
    with pytest.raises(ValueError, match='construct it with gradients="shared"'):
        method.step_from_gramian(torch.eye(N_TASKS, dtype=torch.float64))
