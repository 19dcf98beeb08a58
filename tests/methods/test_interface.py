"""What all methods promise alike: the shared gradient, forms of the input, clipping, symmetry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from methods import GramianWeighting
from tests.methods.samplers import DETERMINISTIC, GRADIENT_METHODS, GRAMIAN_METHODS, Problem, make
from tests.methods.variants import VARIANTS, every_method, every_variant, make_variant, unclipped

# --- the shared gradient ---


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "graddrop"])
@pytest.mark.parametrize("n_tasks", [1, 2, 3, 11])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2)]
)
def test_written_gradient_is_the_weighted_sum(
    variant: str, n_tasks: int, dtype: torch.dtype, tolerance: float
) -> None:
    """G·w in float64 with the returned weights, at a first step and at two more (which may reuse weights)."""
    problem = Problem(n_tasks, dtype=dtype)
    method = make_variant(variant, n_tasks, **unclipped(VARIANTS[variant][0]))
    for _ in range(3):
        step = problem.backward(method)
        gradients = problem.gradient_matrix()
        weights = step.weights.double().numpy()
        assert weights.shape == (n_tasks,)
        assert not step.weights.requires_grad
        size = np.abs(gradients).max(axis=0) @ np.abs(weights)
        assert problem.written() == pytest.approx(gradients @ weights, rel=tolerance, abs=tolerance * size)


@every_method
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_gradients_have_their_parameters_type_and_shape(key: str, dtype: torch.dtype) -> None:
    problem = Problem(3, dtype=dtype)
    problem.backward(make(key, 3))
    for parameter in problem.parameters():
        if parameter.grad is not None:
            assert (parameter.grad.dtype, parameter.grad.shape) == (dtype, parameter.shape)


@every_method
def test_diagnostics_and_weights_are_detached(key: str) -> None:
    step = Problem(3).backward(make(key, 3))
    tensors = [value for value in [step.weights, *step.diagnostics.values()] if isinstance(value, Tensor)]
    assert tensors
    assert not any(t.requires_grad for t in tensors)


@pytest.mark.parametrize("key", [key for key in GRADIENT_METHODS if key != "imtl_g"])
def test_diagnostics_hold_the_gramian(key: str) -> None:
    problem = Problem(3)
    step = problem.backward(make(key, 3))
    gradients = problem.gradient_matrix()
    assert step.diagnostics["gramian"].numpy() == pytest.approx(gradients.T @ gradients)


@every_variant
def test_one_task(variant: str) -> None:
    """The direction is the task's own gradient, up to its length."""
    problem = Problem(1)
    method = make_variant(variant, 1)
    for _ in range(4):
        problem.backward(method)
        gradient, written = problem.gradient_matrix()[:, 0], problem.written()
        assert written @ gradient == pytest.approx(np.linalg.norm(written) * np.linalg.norm(gradient))
        assert np.linalg.norm(written) > 0


# --- forms of the same input ---


@every_variant
@pytest.mark.parametrize("form", ["tensor", "tuple", "column", "list of [1]"])
def test_losses_in_any_form(variant: str, form: str) -> None:
    forms: dict[str, Callable[[list[Tensor]], Any]] = {
        "tensor": torch.stack,
        "tuple": tuple,
        "column": lambda losses: torch.stack(losses)[:, None],
        "list of [1]": lambda losses: [loss.reshape(1) for loss in losses],
    }
    listed, other = Problem(3), Problem(3)
    method, same = make_variant(variant, 3), make_variant(variant, 3)
    for _ in range(2):
        listed.backward(method)
        other.backward(same, forms[form](other.losses()))
        assert other.written() == pytest.approx(listed.written(), rel=1e-12)
        for a, b in zip(listed.heads, other.heads, strict=True):
            torch.testing.assert_close(a.grad, b.grad)


@every_method
def test_one_task_as_a_scalar(key: str) -> None:
    listed, scalar = Problem(1), Problem(1)
    listed.backward(make(key, 1))
    scalar.backward(make(key, 1), scalar.losses()[0])
    assert np.array_equal(listed.written(), scalar.written())


@pytest.mark.parametrize("variant", [v for v in VARIANTS if VARIANTS[v][0] in GRADIENT_METHODS])
def test_strategies_agree(variant: str) -> None:
    loop, batched = Problem(3), Problem(3)
    method = make_variant(variant, 3, task_gradients="loop")
    same = make_variant(variant, 3, task_gradients="batched")
    for _ in range(2):
        loop.backward(method)
        batched.backward(same)
        assert batched.written() == pytest.approx(loop.written(), rel=1e-9)
        for a, b in zip(loop.parameters(), batched.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None)


@pytest.mark.parametrize("key", [key for key in GRAMIAN_METHODS if key != "pcgrad"])
def test_several_representations(key: str) -> None:
    """Two tensors that the heads read count as one vector: the result is that of their concatenation."""

    def run(split: bool) -> tuple[Tensor, np.ndarray]:
        problem = Problem(3)
        problem.losses()
        whole = torch.tanh(torch.tanh(problem.inputs @ problem.first) @ problem.second + problem.bias)
        parts = list(whole.split([1, 3], dim=1))
        features = torch.cat(parts, dim=1) if split else whole
        errors = [features @ head - target for head, target in zip(problem.heads, problem.targets.T, strict=True)]
        losses = [error.square().mean() for error in errors]
        method = make(key, 3, gradients="representation")
        step = problem.backward(method, losses, representation=parts if split else whole)
        return step.weights, problem.written()

    (joined, written), (split, again) = run(split=False), run(split=True)
    assert split.numpy() == pytest.approx(joined.numpy(), rel=1e-9)
    assert again == pytest.approx(written, rel=1e-9)


@pytest.mark.parametrize("key", GRAMIAN_METHODS)
@pytest.mark.parametrize("weight_heads", [True, False])
def test_weights_from_the_representations_gradients(key: str, weight_heads: bool) -> None:
    """The weights are the solver's for the features' Gramian, and what is written is their sum of the losses."""
    problem, expected = Problem(3), Problem(3)
    options = {"max_norm": 0.0, "weight_heads": weight_heads}
    step = problem.backward(make(key, 3, gradients="representation", **options))
    losses = expected.losses()
    columns = [torch.autograd.grad(loss, expected.features, retain_graph=True)[0].flatten() for loss in losses]
    gramian = torch.stack(columns) @ torch.stack(columns).T
    torch.testing.assert_close(step.diagnostics["gramian"], gramian)
    reference = make(key, 3, gradients="shared", **options)
    assert isinstance(reference, GramianWeighting)
    assert step.weights.numpy() == pytest.approx(reference.weights(gramian).numpy())
    assert problem.written() == pytest.approx(expected.gradient_matrix() @ step.weights.numpy())
    for head, weight, loss in zip(expected.heads, step.weights, losses, strict=True):
        (plain,) = torch.autograd.grad(loss, head, retain_graph=True)
        head.grad = plain * (weight if weight_heads else 1.0)
    for ours, theirs in zip(problem.heads, expected.heads, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


# --- clipping and reuse ---


@pytest.mark.parametrize("key", GRADIENT_METHODS)
@pytest.mark.parametrize("max_norm", [1e-3, 0.05, 1e6])
def test_max_norm_clips_the_shared_gradient_only(key: str, max_norm: float) -> None:
    plain, clipped = Problem(3), Problem(3)
    plain.backward(make(key, 3, max_norm=0.0))
    step = clipped.backward(make(key, 3, max_norm=max_norm))
    norm = np.linalg.norm(plain.written())
    assert step.diagnostics["shared_gradient_norm"].item() == pytest.approx(norm)
    assert clipped.written() == pytest.approx(plain.written() * min(1.0, max_norm / norm), rel=1e-10)
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(plain.heads, clipped.heads, strict=True))


def test_nash_steps_have_unit_length_by_default_and_root_k_without_clipping() -> None:
    problem = Problem(3)
    problem.backward(make("nash_mtl", 3))
    assert np.linalg.norm(problem.written()) == pytest.approx(1.0)
    problem.backward(make("nash_mtl", 3, max_norm=0.0))
    assert np.linalg.norm(problem.written()) == pytest.approx(np.sqrt(3.0))


def test_nash_reuses_weights_between_updates() -> None:
    problem = Problem(3)
    method = make("nash_mtl", 3, update_weights_every=3, max_norm=0.0)
    optimiser = torch.optim.SGD([p for p in problem.parameters() if p.requires_grad], lr=0.1)
    weights, statuses = [], []
    for _ in range(7):
        step = problem.backward(method)
        assert problem.written() == pytest.approx(problem.gradient_matrix() @ step.weights.numpy())
        weights.append(step.weights.tolist())
        statuses.append(step.diagnostics["status"])
        step.weights.zero_()  # the caller's to change
        optimiser.step()
    assert statuses == ["solved", "reused", "reused", "solved", "reused", "reused", "solved"]
    assert weights[0] == weights[1] == weights[2] != weights[3]
    assert weights[3] == weights[4] == weights[5] != weights[6]


def test_nash_counts_no_step_that_failed() -> None:
    problem = Problem(2)
    method = make("nash_mtl", 2, update_weights_every=2)
    with pytest.raises(RuntimeError):
        problem.backward(method, [loss * float("nan") for loss in problem.losses()])
    assert problem.backward(method).diagnostics["status"] == "solved"


# --- symmetry ---


@pytest.mark.parametrize("key", [key for key in DETERMINISTIC if key != "stl"])
def test_the_order_of_the_tasks_does_not_matter(key: str) -> None:
    order = [2, 0, 3, 1]
    straight, permuted = Problem(4), Problem(4)
    first = straight.backward(make(key, 4))
    losses = permuted.losses()
    second = permuted.backward(make(key, 4), [losses[k] for k in order])
    assert permuted.written() == pytest.approx(straight.written(), rel=1e-7, abs=1e-10)
    assert second.weights.detach().numpy() == pytest.approx(first.weights.detach().numpy()[order], rel=1e-7)
    for a, b in zip(straight.heads, permuted.heads, strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("key", ["nash_mtl", "si"])
def test_scale_invariant_methods(key: str) -> None:
    plain, scaled = Problem(3), Problem(3)
    plain.backward(make(key, 3))
    losses = [factor * loss for factor, loss in zip((1e-6, 1.0, 1e6), scaled.losses(), strict=True)]
    scaled.backward(make(key, 3), losses)
    assert scaled.written() == pytest.approx(plain.written(), rel=1e-8, abs=1e-10)
    for a, b in zip(plain.heads, scaled.heads, strict=True):
        torch.testing.assert_close(a.grad, b.grad)
