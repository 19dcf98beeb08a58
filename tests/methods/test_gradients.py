"""Task gradients, their Gramian and combination, clipping and writing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods.errors import NonFiniteGradient
from methods.gradients import (
    TaskGradients,
    choose_strategy,
    clip_gradient_norm,
    compute_task_gradients,
    leaf_tensors,
    scalar_gradients,
    trainable,
    write_gradients,
)
from tests.methods.samplers import Problem, make


def flat(gradients: TaskGradients) -> np.ndarray:
    """G, ``[d, K]``."""
    return torch.cat([g.flatten(1) for g in gradients.per_tensor if g is not None], dim=1).double().numpy().T


@pytest.mark.parametrize("strategy", ["auto", "loop", "batched"])
@pytest.mark.parametrize("n_tasks", [1, 2, 11])
def test_task_gradients_equal_plain_backward_passes(strategy: str, n_tasks: int) -> None:
    problem = Problem(n_tasks)
    reached = problem.shared()[:4]
    gradients = compute_task_gradients(problem.losses(), reached, strategy=strategy)
    expected = problem.gradient_matrix()
    assert flat(gradients) == pytest.approx(expected[: len(flat(gradients))], rel=1e-12, abs=1e-15)
    assert gradients.gramian().numpy() == pytest.approx(expected.T @ expected, rel=1e-12)


@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_unreached_tensors(strategy: str) -> None:
    """``None`` where no loss reaches a tensor, zeros where only this one does not."""
    problem = Problem(3)
    gradients = compute_task_gradients(problem.losses(), [problem.unused, problem.for_last_task], strategy=strategy)
    unused, for_last = gradients.per_tensor
    assert unused is None
    assert [bool(g.any()) for g in for_last] == [False, False, True]


@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_a_loss_without_a_graph_has_zero_gradients(strategy: str) -> None:
    problem = Problem(3)
    for detached in range(3):
        losses = problem.losses()
        losses[detached] = losses[detached].detach()
        gradients = compute_task_gradients(losses, problem.shared()[:3], strategy=strategy)
        columns = flat(gradients)
        assert not columns[:, detached].any()
        assert all(columns[:, k].any() for k in range(3) if k != detached)


@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_the_graph_survives_on_request_only(strategy: str) -> None:
    problem = Problem(2)
    losses = problem.losses()
    first = compute_task_gradients(losses, [problem.first], strategy=strategy, retain_graph=True)
    second = compute_task_gradients(losses, [problem.first], strategy=strategy)
    assert torch.equal(first.per_tensor[0], second.per_tensor[0])
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(losses[0], problem.first)


def test_unknown_strategy() -> None:
    problem = Problem(2)
    with pytest.raises(ValueError, match="choose one of auto, loop, batched"):
        compute_task_gradients(problem.losses(), [problem.first], strategy="vmap")


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """``auto`` decides as it does for losses on a GPU."""
    monkeypatch.setattr("methods.gradients._on_gpu", lambda losses: True)


@pytest.mark.usefixtures("on_a_gpu")
def test_auto_takes_the_loop_where_a_part_is_compiled() -> None:
    """A compiled backward pass cannot be vectorised; where the check is left out, it fails."""
    trunk, heads = nn.Linear(3, 4), [nn.Linear(4, 1) for _ in range(2)]
    inputs = torch.randn(5, 3)

    def losses(compiled: bool) -> list[Tensor]:
        network = torch.compile(trunk, backend="aot_eager") if compiled else trunk
        features = network(inputs).tanh()
        return [head(features).square().mean() for head in heads]

    assert choose_strategy(losses(compiled=False)) == "batched"
    assert choose_strategy(losses(compiled=True)) == "loop"
    expected = compute_task_gradients(losses(compiled=False), list(trunk.parameters()), strategy="loop")
    ours = compute_task_gradients(losses(compiled=True), list(trunk.parameters()))
    assert flat(ours) == pytest.approx(flat(expected), rel=1e-5, abs=1e-7)
    with pytest.raises(RuntimeError, match="compiled backward function within vmap"):
        compute_task_gradients(losses(compiled=True), list(trunk.parameters()), strategy="batched")
    for compiled in (True, False):
        method = make("nash_mtl", 2)
        method.backward(losses(compiled), shared_parameters=trunk.parameters())
        assert trunk.weight.grad is not None


def test_gramian_of_float32_gradients_is_accurate() -> None:
    """More elements than one chunk holds; a float32 product is off by much more."""
    gradient = torch.randn(3, 2**18 + 1000, generator=torch.Generator().manual_seed(0)) + 0.5
    exact = gradient.double() @ gradient.double().T
    ours = TaskGradients([gradient], 3).gramian()
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, exact, rtol=1e-13, atol=0)


def test_gramian_of_nothing() -> None:
    assert TaskGradients([None], 2).gramian().tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert compute_task_gradients(Problem(2).losses(), []).per_tensor == []


@pytest.mark.parametrize(
    ("dtype", "bits"), [(torch.float64, 52), (torch.float32, 23), (torch.bfloat16, 7), (torch.float16, 10)]
)
def test_combination_rounds_once(dtype: torch.dtype, bits: int) -> None:
    """In half precision the weights keep their digits, and only the result is rounded."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(3, 1000, generator=generator, dtype=torch.float64).to(dtype)
    weights = torch.tensor([1.001, 0.337, 2.3331], dtype=torch.float64)
    (combined,) = TaskGradients([gradient], 3).combine(weights)
    exact = weights @ gradient.double()
    assert combined.dtype == dtype
    parts = weights @ gradient.double().abs()
    error = (combined.double() - exact).abs()
    in_half = dtype in (torch.bfloat16, torch.float16)
    assert bool((error <= 2.0**-bits * (0.51 * exact.abs() + (1e-6 if in_half else 4.0) * parts)).all())


def test_weights_too_large_for_half_precision() -> None:
    """A short gradient has a weight beyond float16's largest number, 65,504; their product fits."""
    gradient = torch.full((1, 4), 1e-6, dtype=torch.float16)
    length = gradient.double().norm()
    (combined,) = TaskGradients([gradient], 1).combine(1.0 / length[None])
    assert combined.tolist() == pytest.approx([0.5] * 4, rel=1e-3)


def test_trainable_keeps_order_and_drops_frozen_and_repeated_tensors() -> None:
    a, b, c = (nn.Parameter(torch.zeros(2)) for _ in range(3))
    b.requires_grad_(False)
    assert [id(p) for p in trainable(iter([c, a, b, c]))] == [id(c), id(a)]
    assert trainable(None) == []


def test_leaf_tensors_are_the_trainable_ones_that_the_losses_reach() -> None:
    problem = Problem(3)
    found = {id(p) for p in leaf_tensors(problem.losses())}
    expected = [p for p in problem.parameters() if p.requires_grad and p is not problem.unused]
    assert found == {id(p) for p in expected}


def test_leaf_tensors_with_a_custom_function_that_has_a_variable_of_its_own() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            ctx.variable = 2.0
            return ctx.variable * x

        @staticmethod
        def backward(ctx, gradient: Tensor) -> Tensor:
            return ctx.variable * gradient

    parameter = nn.Parameter(torch.ones(2))
    assert [id(p) for p in leaf_tensors([Double.apply(parameter).sum()])] == [id(parameter)]


def test_scalar_gradients_own_their_memory() -> None:
    """Autograd hands out one tensor for the terms of a sum, expanded where the sum is over elements."""
    a, b, c = (nn.Parameter(torch.ones(3, 2)) for _ in range(3))
    unused = nn.Parameter(torch.ones(1))
    weight = torch.arange(6.0).reshape(3, 2)
    objective = ((a + b) * weight).sum() + c.sum()
    gradients = scalar_gradients(objective, [a, b, c, unused])
    assert gradients[3] is None
    for gradient in gradients[:3]:
        gradient.mul_(2.0)
    assert torch.equal(gradients[0], 2.0 * weight)
    assert torch.equal(gradients[1], 2.0 * weight)
    assert torch.equal(gradients[2], torch.full((3, 2), 2.0))


def test_scalar_gradients_that_overlap_in_part() -> None:
    a, b, c = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(1, 2)), nn.Parameter(torch.ones(1, 2))
    weight = torch.arange(4.0).reshape(2, 2)
    gradients = scalar_gradients(((a + torch.cat([b, c])) * weight).sum(), [a, b, c])
    for gradient in gradients:
        gradient.mul_(2.0)
    assert [g.tolist() for g in gradients] == [[[0, 2], [4, 6]], [[0, 2]], [[4, 6]]]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_clipping(dtype: torch.dtype) -> None:
    gradients = [torch.full((3, 4), 3.0, dtype=dtype), None, torch.full((4,), -4.0, dtype=dtype)]
    norm = clip_gradient_norm(gradients, max_norm=1.0)
    expected = (12 * 9 + 4 * 16) ** 0.5
    assert norm.item() == pytest.approx(expected, rel=1e-6)
    assert gradients[0].double().mean().item() == pytest.approx(3.0 / expected, rel=5e-3)
    assert gradients[2].double().mean().item() == pytest.approx(-4.0 / expected, rel=5e-3)


def test_clipping_leaves_short_gradients() -> None:
    gradients = [torch.tensor([0.3, 0.4])]
    assert clip_gradient_norm(gradients, max_norm=1.0).item() == pytest.approx(0.5)
    assert torch.equal(gradients[0], torch.tensor([0.3, 0.4]))


def test_clipping_zero_and_nothing() -> None:
    gradients = [torch.zeros(3)]
    assert clip_gradient_norm(gradients, max_norm=1.0).item() == 0.0
    assert gradients[0].tolist() == [0.0, 0.0, 0.0]
    assert clip_gradient_norm([None], max_norm=1.0).item() == 0.0


@pytest.mark.parametrize(("dtype", "length"), [(torch.float32, 1e30), (torch.float32, 1e-30), (torch.float16, 6e4)])
def test_clipping_where_the_square_leaves_the_type(dtype: torch.dtype, length: float) -> None:
    gradients = [torch.full((4,), length, dtype=dtype)]
    before = gradients[0].clone()
    norm = clip_gradient_norm(gradients, max_norm=1.0)
    assert norm.item() == pytest.approx(2.0 * length, rel=1e-3)
    expected = torch.full((4,), 0.5, dtype=dtype) if length > 1 else before
    torch.testing.assert_close(gradients[0], expected)


def test_writing_replaces() -> None:
    a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    a.grad, b.grad = torch.full((2,), 9.0), torch.full((2,), 9.0)
    write_gradients([a, b], [torch.tensor([1.0, 2.0]), None])
    assert a.grad.tolist() == [1.0, 2.0]
    assert b.grad is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_nothing_is_written_if_anything_is_not_finite(value: float, dtype: torch.dtype) -> None:
    a, b, empty = (nn.Parameter(torch.ones(n, dtype=dtype)) for n in (2, 3, 0))
    b.grad = torch.full((3,), 9.0, dtype=dtype)
    bad = torch.zeros(3, dtype=dtype)
    bad[1] = value
    with pytest.raises(NonFiniteGradient, match="nothing was written"):
        write_gradients([a, empty, b], [torch.ones_like(a), torch.ones_like(empty), bad])
    assert a.grad is None
    assert b.grad.tolist() == [9.0, 9.0, 9.0]


def test_large_finite_gradients_are_written() -> None:
    a = nn.Parameter(torch.ones(100))
    write_gradients([a], [torch.full((100,), 3e38)])
    assert a.grad.isfinite().all()
