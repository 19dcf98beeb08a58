"""Hard but legitimate steps end with the documented result; never NaN in a parameter's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from methods import METHODS, Step
from tests.methods.samplers import Problem, make
from tests.methods.variants import CASES, assert_finite, every_case


def two_steps(problem: Problem, key: str, options: dict[str, Any], transform: Any) -> Step:
    """Two steps, so that reused weights are used too."""
    method = make(key, len(problem.heads), **options)
    for _ in range(2):
        step = problem.backward(method, transform(problem.losses()))
        assert_finite(problem)
        assert step.weights is None or bool(step.weights.isfinite().all())
    return step


@every_case
@pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
def test_common_scales(key: str, options: dict[str, Any], scale: float) -> None:
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [scale * loss for loss in losses])
    assert np.linalg.norm(problem.written()) > 0


@every_case
def test_scales_sixty_decades_apart(key: str, options: dict[str, Any]) -> None:
    scales = (1e-30, 1.0, 1e30)
    two_steps(Problem(3), key, options, lambda losses: [s * loss for s, loss in zip(scales, losses, strict=True)])


@pytest.mark.parametrize("key", [key for key in METHODS if key not in ("si", "uw")])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_scales_in_float32(key: str, scale: float) -> None:
    problem = Problem(3, dtype=torch.float32)
    two_steps(problem, key, {}, lambda losses: [losses[0], scale * losses[1], losses[2]])
    assert np.linalg.norm(problem.written()) > 0


@every_case
def test_identical_tasks(key: str, options: dict[str, Any]) -> None:
    """The direction is that of the one task that they all are."""
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [losses[0] * 1.0 for _ in losses])
    gradient, written = problem.gradient_matrix()[:, 0], problem.written()
    assert written @ gradient == pytest.approx(np.linalg.norm(written) * np.linalg.norm(gradient), rel=1e-9)
    assert np.linalg.norm(written) > 0


OPPOSING = [case for case in CASES if case[0] not in ("si", "famo")]  # which need positive losses


@pytest.mark.parametrize(("key", "options"), OPPOSING, ids=[f"{k}{o or ''}" for k, o in OPPOSING])
def test_exactly_opposing_tasks(key: str, options: dict[str, Any]) -> None:
    problem = Problem(2)
    two_steps(problem, key, options, lambda losses: [losses[0], -losses[0]])
    if key in (
        "mgda",
        "nash_mtl",
        "pcgrad",
        "cagrad",
        "ls",
        "aligned_mtl",
        "fairgrad",
    ):  # methods that see that nothing can be gained
        assert np.linalg.norm(problem.written()) <= 1e-6 * np.linalg.norm(problem.gradient_matrix()[:, 0])


def test_nash_rests_at_a_pareto_stationary_point_while_heads_go_on() -> None:
    problem = Problem(3)
    step = two_steps(problem, "nash_mtl", {}, lambda losses: [losses[0], losses[1], -losses[0] - losses[1]])
    assert step.diagnostics["status"] == "stationary"
    assert step.weights.tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert np.linalg.norm(problem.written()) <= 1e-6


def test_nash_leaves_out_a_task_with_a_zero_gradient() -> None:
    problem, without = Problem(3), Problem(3)
    step = problem.backward(make("nash_mtl", 3), [*problem.losses()[:2], (problem.heads[2] ** 2).sum()])
    assert step.diagnostics["status"] == "zero_gradient"
    assert step.weights[2] == 1.0
    assert torch.equal(problem.heads[2].grad, 2.0 * problem.heads[2])
    without.backward(make("nash_mtl", 2), without.losses()[:2])
    assert problem.written() == pytest.approx(without.written())


@every_case
def test_a_task_that_does_not_reach_the_shared_parameters(key: str, options: dict[str, Any]) -> None:
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [*losses[:2], problem.heads[2].square().sum() + 1.0])


@every_case
def test_no_task_reaches_the_shared_parameters(key: str, options: dict[str, Any]) -> None:
    """Shared parameters that no loss reaches have no gradient; heads are as ever."""
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [head.square().sum() + 1.0 for head in problem.heads])
    assert all(p.grad is None for p in problem.shared())
    assert all(head.grad is not None for head in problem.heads)


@every_case
@pytest.mark.parametrize("zero", [[2], [0, 1, 2]])
def test_a_head_that_starts_at_zero_is_trained(key: str, options: dict[str, Any], zero: list[int]) -> None:
    """A zero last layer is what makes its task's shared gradient zero: it must not stay so for ever."""
    if key == "stl":
        zero = [2]
    problem, method = Problem(3), make(key, 3, **options)
    with torch.no_grad():
        for k in zero:
            problem.heads[k].zero_()
    optimiser = torch.optim.Adam([*problem.shared(), *problem.heads, *method.parameters()], lr=0.01)
    for _ in range(10):
        problem.backward(method)
        optimiser.step()
    assert all(bool(problem.heads[k].any()) for k in zero)


def test_fairgrad_and_aligned_mtl_leave_out_a_task_with_a_zero_gradient() -> None:
    for key in ("fairgrad", "aligned_mtl"):
        problem, without = Problem(3), Problem(3)
        step = problem.backward(make(key, 3), [*problem.losses()[:2], (problem.heads[2] ** 2).sum()])
        assert step.diagnostics.get("status", "zero_gradient") == "zero_gradient"
        assert step.weights[2] == 1.0
        assert problem.heads[2].grad.any()
        without.backward(make(key, 2), without.losses()[:2])
        assert problem.written() == pytest.approx(without.written())


def test_what_a_zero_gradient_means_to_mgda_and_imtl_g() -> None:
    """MGDA: a zero gradient is itself the shortest vector. IMTL-G: no solution, all weights alike, and it says so."""
    for key in ("mgda", "imtl_g"):
        problem = Problem(3)
        step = problem.backward(make(key, 3), [*problem.losses()[:2], problem.heads[2].square().sum()])
        if key == "mgda":
            assert step.weights.tolist() == [0.0, 0.0, 3.0] and not problem.written().any()
        else:
            assert step.weights.tolist() == pytest.approx([1 / 3] * 3) and step.diagnostics["solved"] is False


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_losses_that_share_no_graph(key: str, options: dict[str, Any], dtype: torch.dtype) -> None:
    """Each task has a shared parameter of its own that no other reaches: the Gramian is diagonal."""
    problem = Problem(3, dtype=dtype)
    own = [nn.Parameter(torch.full((4,), k + 1.0, dtype=dtype)) for k in range(3)]
    method = make(key, 3, **options)
    for _ in range(2):
        losses = [parameter.square().mean() for parameter in own]
        method.backward(losses, shared_parameters=own, representation=own)
        for k, parameter in enumerate(own):
            assert parameter.grad is not None and bool(parameter.grad.isfinite().all())
            assert bool((parameter.grad > 0).all()) or (key == "stl" and k < 2), "along the task's own gradient"
    assert_finite(problem)


@every_case
def test_zero_gradients_everywhere(key: str, options: dict[str, Any]) -> None:
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [0.0 * loss + 1.0 for loss in losses])
    assert not problem.written().any()


@every_case
def test_one_loss_without_a_graph(key: str, options: dict[str, Any]) -> None:
    problem = Problem(3)
    two_steps(problem, key, options, lambda losses: [losses[0], losses[1].detach(), losses[2]])


@every_case
def test_a_hundred_tasks(key: str, options: dict[str, Any]) -> None:
    """More tasks than dimensions of the features: the Gramian is far from full rank."""
    problem = Problem(100)
    two_steps(problem, key, options, lambda losses: losses)
    assert np.linalg.norm(problem.written()) > 0
