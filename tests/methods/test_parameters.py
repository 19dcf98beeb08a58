"""Which parameters get a gradient, and whose: heads given or discovered, frozen, unused, unreached, shared ones."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from methods import METHODS
from tests.methods.samplers import GRADIENT_METHODS, Problem, make
from tests.methods.variants import VARIANTS, every_variant, make_variant

# --- heads ---


@pytest.mark.parametrize("variant", [v for v in VARIANTS if VARIANTS[v][0] in GRADIENT_METHODS])
@pytest.mark.parametrize("weight_heads", [True, False])
def test_heads_of_gradient_methods(variant: str, weight_heads: bool) -> None:
    key, _ = VARIANTS[variant]
    problem = Problem(3)
    method = make_variant(variant, 3, **({} if key == "graddrop" else {"weight_heads": weight_heads}))
    for _ in range(3):  # some reuse weights
        step = problem.backward(method)
        weights = step.weights if weight_heads and key != "graddrop" else torch.ones(3, dtype=torch.float64)
        for head, loss, weight in zip(problem.heads, problem.losses(), weights, strict=True):
            (plain,) = torch.autograd.grad(loss, head)
            torch.testing.assert_close(head.grad, weight * plain)


@pytest.mark.parametrize("key", [key for key in METHODS if key not in GRADIENT_METHODS])
def test_heads_of_loss_weightings_carry_the_weights(key: str) -> None:
    problem = Problem(3)
    weights = problem.backward(make(key, 3)).weights
    for head, loss, weight in zip(problem.heads, problem.losses(), weights, strict=True):
        torch.testing.assert_close(head.grad, weight * torch.autograd.grad(loss, head)[0])


@pytest.mark.parametrize(
    ("key", "default"),
    [("mgda", True), ("imtl_g", True), ("nash_mtl", True), ("pcgrad", False), ("cagrad", False), ("graddrop", False)]
    + [("aligned_mtl", False), ("fairgrad", False)],
)
def test_default_of_weight_heads(key: str, default: bool) -> None:
    assert make(key, 2).weight_heads is default


@every_variant
def test_heads_are_discovered(variant: str) -> None:
    """Without a list, the heads are all other leaves that the losses reach."""
    found, told = Problem(3), Problem(3)
    method, same = make_variant(variant, 3), make_variant(variant, 3)
    for _ in range(2):
        found.backward(method)
        told.backward(same, task_specific_parameters=told.heads)
        for a, b in zip(found.parameters(), told.parameters(), strict=True):
            assert (a.grad is None) == (b.grad is None)
            assert a.grad is None or torch.equal(a.grad, b.grad)
    assert all(head.grad is not None for head in found.heads)


@every_variant
def test_all_parameters_shared_or_listed_twice(variant: str) -> None:
    """A tensor that is listed as shared and as a head is shared; a model may have no heads at all."""
    problem = Problem(2)
    method = make_variant(variant, 2)
    everything = [p for p in problem.parameters() if p.requires_grad]
    for heads in ([], everything):
        losses = problem.losses()
        method.backward(
            losses,
            shared_parameters=[*everything, *everything],
            task_specific_parameters=heads,
            representation=problem.features,
        )
        assert all(p.grad is not None for p in everything if p is not problem.unused)


# --- which parameters are touched ---


@every_variant
def test_frozen_unused_and_unreached_parameters(variant: str) -> None:
    problem = Problem(3)
    problem.frozen.grad = torch.full_like(problem.frozen, 7.0)
    unreached_head = nn.Parameter(torch.ones(2, dtype=torch.float64))
    for parameter in (problem.unused, unreached_head):
        parameter.grad = torch.ones_like(parameter)
    method = make_variant(variant, 3)
    for _ in range(2):
        problem.backward(method, task_specific_parameters=[*problem.heads, unreached_head])
    assert problem.unused.grad is None
    assert unreached_head.grad is None
    assert torch.equal(problem.frozen.grad, torch.full_like(problem.frozen, 7.0))


@every_variant
def test_a_scalar_among_the_shared_parameters(variant: str) -> None:
    """Of shape [], as a learned temperature: the same numbers as of shape [1]."""
    written = []
    for shape in ((), (1,)):
        problem, method = Problem(3), make_variant(variant, 3)
        temperature = nn.Parameter(torch.full(shape, 1.5, dtype=torch.float64))
        for _ in range(2):
            losses = [loss * temperature.sum() for loss in problem.losses()]
            shared = [*problem.shared(), temperature]
            method.backward(losses, shared_parameters=shared, representation=problem.features)
        assert temperature.grad is not None and temperature.grad.shape == shape
        written.append(np.append(problem.written(), temperature.grad.item()))
    assert written[0] == pytest.approx(written[1], rel=1e-12)


@every_variant
def test_gradients_are_replaced_not_accumulated(variant: str) -> None:
    problem, fresh = Problem(3), Problem(3)
    for parameter in problem.parameters():
        parameter.grad = torch.full_like(parameter, 5.0)
    problem.backward(make_variant(variant, 3))
    fresh.backward(make_variant(variant, 3))
    assert np.array_equal(problem.written(), fresh.written())
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(problem.heads, fresh.heads, strict=True))


@every_variant
def test_each_gradient_has_memory_of_its_own(variant: str) -> None:
    """Two biases that are added get equal gradients; scaling one in place, as clipping does, must not scale both."""

    def build() -> tuple[list[nn.Parameter], Callable[[], tuple[list[Tensor], Tensor]]]:
        weight = nn.Parameter(torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(3, 2))
        biases = [nn.Parameter(torch.full((2,), value, dtype=torch.float64)) for value in (0.1, 0.2)]
        heads = [nn.Parameter(torch.full((2,), value, dtype=torch.float64)) for value in (0.3, 0.4, 0.5, 0.6)]

        def losses() -> tuple[list[Tensor], Tensor]:
            features = torch.tanh(torch.ones(1, 3, dtype=torch.float64) @ weight + (biases[0] + biases[1]))
            first = (features * heads[0]).sum() + (heads[2] + heads[3]).sum()
            return [first.square() + 1.0, (features * heads[1] + 1.0).square().sum()], features

        return [weight, *biases], losses

    def run(own: bool) -> list[Tensor]:
        shared, losses = build()
        method = make_variant(variant, 2, **({"max_norm": 0.1} if VARIANTS[variant][0] in GRADIENT_METHODS else {}))
        for _ in range(2):
            values, features = losses()
            method.backward(values, shared_parameters=shared, representation=features)
        gradients = [p.grad for p in shared]
        if own:
            for gradient in gradients:
                gradient.mul_(2.0)
        return gradients

    for doubled, plain in zip(run(own=True), run(own=False), strict=True):
        torch.testing.assert_close(doubled, 2.0 * plain)
    assert torch.equal(run(own=False)[1], run(own=False)[2])
    if VARIANTS[variant][0] in GRADIENT_METHODS:
        assert torch.cat([g.flatten() for g in run(own=False)]).norm().item() == pytest.approx(0.1)


@pytest.mark.parametrize("key", ["ls", "nash_mtl", "imtl_g"])
def test_a_head_that_is_not_reached_any_more_keeps_no_gradient(key: str) -> None:
    """Heads are discovered anew at every step: one behind a branch not taken must not be applied again."""
    problem, method = Problem(3), make(key, 3)
    problem.backward(method)
    before = [head.grad for head in problem.heads]
    assert all(gradient is not None for gradient in before)
    losses = problem.losses()
    problem.backward(method, [losses[0], losses[1], losses[1] + losses[0]])
    assert problem.heads[2].grad is None
    assert problem.heads[0].grad is not None
    frozen = problem.heads[1].requires_grad_(False)
    kept = frozen.grad
    problem.backward(method)
    assert problem.heads[2].grad is not None
    assert frozen.grad is kept, "frozen parameters are left alone"


def test_discovered_heads_are_not_kept_alive() -> None:
    problem, method = Problem(2), make("nash_mtl", 2)
    problem.backward(method)
    reference = weakref.ref(problem.heads[1])
    copy = pickle.loads(pickle.dumps(method))
    del problem
    gc.collect()
    assert reference() is None
    Problem(2).backward(method)
    Problem(2).backward(copy)


@every_variant
def test_autocast_does_not_round_the_combination(variant: str) -> None:
    plain, cast = Problem(3, dtype=torch.float32), Problem(3, dtype=torch.float32)
    method, same = make_variant(variant, 3), make_variant(variant, 3)
    for _ in range(2):
        plain.backward(method)
        losses = cast.losses()
        with torch.autocast("cpu", torch.bfloat16):
            cast.backward(same, losses)
        assert np.array_equal(cast.written(), plain.written())


@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_activation_checkpointing(strategy: str) -> None:
    """Without reentry it changes nothing; the reentrant form says itself that it cannot be used."""

    def run(reentrant: bool | None) -> np.ndarray:
        problem = Problem(3)
        plain = problem.losses()

        def trunk(first: Tensor) -> Tensor:
            return torch.tanh(torch.tanh(problem.inputs @ first) @ problem.second + problem.bias) * problem.frozen

        if reentrant is None:
            losses = plain
        else:
            problem.features = checkpoint(trunk, problem.first, use_reentrant=reentrant)
            outputs = [problem.features @ head for head in problem.heads]
            outputs[-1] = outputs[-1] + problem.features @ problem.for_last_task
            pairs = zip(outputs, problem.targets.T, strict=True)
            losses = [(output - target).square().mean() for output, target in pairs]
        problem.backward(make("nash_mtl", 3, task_gradients=strategy), losses)
        return problem.written()

    assert run(reentrant=False) == pytest.approx(run(reentrant=None), rel=1e-9)
    with pytest.raises(RuntimeError, match=r"use_reentrant=False|not compatible with"):
        run(reentrant=True)
