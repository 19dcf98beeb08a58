"""Whatever goes wrong, a clear error, and nothing written; never NaN in a parameter's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods import METHODS, NonFiniteGradient, NonFiniteLoss, NonPositiveLoss, get_method
from tests.methods.samplers import GRADIENT_METHODS, GRAMIAN_METHODS, Problem, make
from tests.methods.variants import assert_finite, every_case, every_method


def mark_gradients(problem: Problem) -> None:
    for parameter in problem.parameters():
        parameter.grad = torch.full_like(parameter, 5.0)


def assert_untouched(problem: Problem) -> None:
    """No gradient has been written: all are as :func:`mark_gradients` left them."""
    for parameter in problem.parameters():
        assert torch.equal(parameter.grad, torch.full_like(parameter, 5.0))


# --- losses and gradients that are not finite ---


@every_case
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_not_finite(key: str, options: dict[str, Any], value: float) -> None:
    problem = Problem(3)
    mark_gradients(problem)
    losses = problem.losses()
    losses[1] = losses[1] * value
    with pytest.raises(NonFiniteLoss, match=r"\(task: value\): \{1: (nan|-?inf)\}; no gradient was written"):
        problem.backward(make(key, 3, **options), losses)
    assert_untouched(problem)


@every_method
def test_all_losses_nan(key: str) -> None:
    problem = Problem(2)
    mark_gradients(problem)
    with pytest.raises(NonFiniteLoss, match=r"\{0: nan, 1: nan\}"):
        problem.backward(make(key, 2), [loss * float("nan") for loss in problem.losses()])
    assert_untouched(problem)


def nan_gradient(x: Tensor) -> Tensor:
    """Zero, with a NaN derivative by every element of x: the square root's at zero is infinite, times zero."""
    return (x * 0.0).sum().square().sqrt()


@every_case
def test_a_shared_gradient_that_is_nan(key: str, options: dict[str, Any]) -> None:
    problem = Problem(3)
    losses = problem.losses()
    losses[1] = losses[1] + nan_gradient(problem.features)
    mark_gradients(problem)
    with pytest.raises(NonFiniteGradient, match=r"nothing was written"):
        problem.backward(make(key, 3, main_task=1) if key == "stl" else make(key, 3, **options), losses)
    assert_untouched(problem)


@pytest.mark.parametrize("key", GRADIENT_METHODS)
def test_gradient_methods_name_the_task_with_a_nan_gradient(key: str) -> None:
    problem = Problem(3)
    losses = problem.losses()
    losses[1] = losses[1] + nan_gradient(problem.features)
    with pytest.raises(NonFiniteGradient, match=r"gradients of tasks \[1\]"):
        problem.backward(make(key, 3), losses)


@every_case
def test_a_heads_gradient_that_is_nan(key: str, options: dict[str, Any]) -> None:
    """The shared gradients are finite then, and must not be written either."""
    problem = Problem(3)
    losses = problem.losses()
    losses[2] = losses[2] + nan_gradient(problem.heads[2])
    mark_gradients(problem)
    with pytest.raises(NonFiniteGradient, match="nothing was written"):
        problem.backward(make(key, 3, **options), losses)
    assert_untouched(problem)


def infinite_gradient(x: Tensor) -> Tensor:
    """Zero, with an infinite derivative by every element of x: the square root's at zero."""
    return x.sub(x.detach()).sum().sqrt()


@every_case
@pytest.mark.parametrize("make_odd", [nan_gradient, infinite_gradient])
def test_every_tasks_gradient_is_odd(key: str, options: dict[str, Any], make_odd: Any) -> None:
    problem = Problem(3)
    losses = [loss + make_odd(problem.features) for loss in problem.losses()]
    mark_gradients(problem)
    with pytest.raises(NonFiniteGradient, match=r"nothing was written"):
        problem.backward(make(key, 3, **options), losses)
    assert_untouched(problem)


@pytest.mark.parametrize("key", GRADIENT_METHODS)
def test_gradients_whose_squares_leave_float64(key: str) -> None:
    problem = Problem(3)
    losses = problem.losses()
    mark_gradients(problem)
    with pytest.raises(NonFiniteGradient, match=r"tasks \[1\] .* beyond float64's range"):
        problem.backward(make(key, 3), [losses[0], 1e200 * losses[1], losses[2]])
    assert_untouched(problem)


def test_a_gradient_that_is_nan_at_a_step_with_reused_weights() -> None:
    problem = Problem(3)
    method = make("nash_mtl", 3, update_weights_every=2)
    problem.backward(method)
    mark_gradients(problem)
    losses = problem.losses()
    losses[1] = losses[1] + nan_gradient(problem.features)
    with pytest.raises(NonFiniteGradient):
        problem.backward(method, losses)
    assert_untouched(problem)


def test_a_shared_gradient_that_is_nan_behind_a_finite_representation() -> None:
    """IMTL-G looks at the representation's gradients only, and writes the shared parameters'."""
    problem = Problem(2)
    losses = problem.losses()
    representation = problem.features + nan_gradient(problem.first)
    losses = [(representation @ head).square().mean() for head in problem.heads]
    mark_gradients(problem)
    with pytest.raises(NonFiniteGradient):
        problem.backward(make("imtl_g", 2), losses, representation=representation)
    assert_untouched(problem)


@every_method
def test_a_failed_step_can_be_followed_by_a_good_one(key: str) -> None:
    problem = Problem(3)
    method = make(key, 3)
    with pytest.raises(NonFiniteLoss):
        problem.backward(method, [loss * float("nan") for loss in problem.losses()])
    problem.backward(method)
    assert_finite(problem)
    assert np.linalg.norm(problem.written()) > 0


# --- calls that make no sense ---


@every_method
@pytest.mark.parametrize("number", [0, 2, 4])
def test_wrong_number_of_losses(key: str, number: int) -> None:
    problem = Problem(4)
    with pytest.raises(ValueError, match=rf"expected 3 scalar losses, got {number}"):
        problem.backward(make(key, 3), problem.losses()[:number])


def test_losses_that_are_not_scalars() -> None:
    problem = Problem(2)
    losses = problem.losses()
    with pytest.raises(ValueError, match=r"expected 2 scalar losses, got 2 of shapes \[\(2,\), \(\)\]"):
        problem.backward(make("ls", 2), [torch.stack(losses), losses[1]])
    with pytest.raises(ValueError, match="expected 2 scalar losses, got 1"):
        problem.backward(make("ls", 2), losses[0])


def test_losses_that_are_not_tensors() -> None:
    problem = Problem(2)
    values = [loss.item() for loss in problem.losses()]
    with pytest.raises(ValueError, match="expected tensors as losses, got float"):
        problem.backward(make("ls", 2), values)


@every_method
def test_losses_without_a_graph(key: str) -> None:
    problem = Problem(2)
    with pytest.raises(ValueError, match="no loss has an autograd graph"):
        problem.backward(make(key, 2), [loss.detach() for loss in problem.losses()])


@every_method
@pytest.mark.parametrize("shared", ["none", "frozen"])
def test_no_shared_parameters(key: str, shared: str) -> None:
    problem = Problem(2)
    parameters = [] if shared == "none" else [problem.frozen]
    losses = problem.losses()
    with pytest.raises(ValueError, match="nothing to train"):
        make(key, 2).backward(losses, shared_parameters=parameters, representation=problem.features)


@pytest.mark.parametrize("key", GRAMIAN_METHODS)
def test_no_representation_where_one_is_needed(key: str) -> None:
    problem, method = Problem(2), make(key, 2, gradients="representation")
    with pytest.raises(ValueError, match=r"pass representation=\.\.\. to backward"):
        method.backward(problem.losses(), shared_parameters=problem.shared())


@pytest.mark.parametrize("key", GRAMIAN_METHODS)
def test_a_detached_representation(key: str) -> None:
    problem, method = Problem(2), make(key, 2, gradients="representation")
    losses = problem.losses()
    with pytest.raises(ValueError, match="representation does not require a gradient"):
        problem.backward(method, losses, representation=problem.features.detach())


@pytest.mark.parametrize("key", GRAMIAN_METHODS)
@pytest.mark.parametrize("cut_off", [True, False])
def test_a_representation_that_the_trunk_or_the_heads_do_not_know(key: str, cut_off: bool) -> None:
    """Detached and made a leaf again, so that the trunk would not train; or another tensor than the heads read."""
    problem, method = Problem(2), make(key, 2, gradients="representation")
    losses = problem.losses()
    features = problem.features
    if cut_off:
        features = features.detach().requires_grad_()
        losses = [(features @ head).square().mean() for head in problem.heads]
    with pytest.raises(ValueError, match=r"no shared parameter \(was it detached"):
        problem.backward(method, losses, representation=features if cut_off else features.relu())
    assert all(p.grad is None for p in problem.parameters())


@pytest.mark.parametrize("key", GRADIENT_METHODS)
@pytest.mark.parametrize("strategy", ["loop", "batched"])
def test_complex_parameters_are_refused_where_inner_products_are_needed(key: str, strategy: str) -> None:
    weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))
    features = (torch.ones(2, 2, dtype=torch.complex64) @ weight).abs()
    losses = [features.square().mean(), features.mean()]
    options = {"gradients": "shared"} if key in GRAMIAN_METHODS else {}
    with pytest.raises(ValueError, match=r"shape \[2, 2\] is complex.*view_as_complex"):
        make(key, 2, task_gradients=strategy, **options).backward(losses, shared_parameters=[weight])
    assert weight.grad is None


@every_method
def test_a_refused_step_leaves_the_method_as_it_was(key: str) -> None:
    problem, method = Problem(2), make(key, 2)
    for _ in range(2):
        problem.backward(method)
    before = method.state_dict()
    losses = problem.losses()
    with pytest.raises(NonFiniteGradient):
        problem.backward(method, [loss + nan_gradient(problem.bias).sum() for loss in losses])
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]) if isinstance(value, Tensor) else value == before[name], name


@pytest.mark.parametrize("losses_at", [0, 1])
@every_method
def test_sparse_gradients_are_refused_in_one_sentence(key: str, losses_at: int) -> None:
    """Of the shared parameters and of a head."""
    table = nn.Embedding(5, 2, sparse=True)
    trunk = nn.Linear(2, 2)
    features = trunk(table(torch.tensor([1, 3])) if losses_at == 0 else torch.ones(2, 2))
    losses = [features.square().mean() + k for k in range(2)]
    if losses_at == 1:
        losses[1] = losses[1] + table(torch.tensor([1])).square().sum()
    shared = [*trunk.parameters(), *(table.parameters() if losses_at == 0 else ())]
    method = make(key, 2)
    with pytest.raises(ValueError, match=r"shape \[5, 2\] is sparse.*sparse=False"):
        method.backward(losses, shared_parameters=shared, representation=features)
    assert table.weight.grad is None and trunk.weight.grad is None


def test_si_has_an_error_of_its_own_for_a_loss_of_zero() -> None:
    problem = Problem(2)
    losses = problem.losses()
    with pytest.raises(NonPositiveLoss, match=r"needs positive losses, got \(task: value\) \{1: 0.0\}"):
        problem.backward(make("si", 2), [losses[0], 0.0 * losses[1]])
    assert all(parameter.grad is None for parameter in problem.parameters())


@pytest.mark.parametrize(("key", "name"), [("nash_mtl", "alpha"), ("uw", "log_variance"), ("dwa", "running_sum")])
@pytest.mark.parametrize("saved", [1, 7])
def test_a_state_of_another_number_of_tasks_is_refused(key: str, name: str, saved: int) -> None:
    method = make(key, 3)
    with pytest.raises(ValueError, match=rf"'{name}' .* is a tensor \[{saved}\], expected a tensor \[3\]"):
        method.load_state_dict(make(key, saved).state_dict())
    assert [p.shape for p in method.parameters()] == [(3,)] * (key == "uw")


def test_a_state_of_another_kind_is_refused() -> None:
    method = make("nash_mtl", 3)
    with pytest.raises(ValueError, match=r"'alpha' .* is a number"):
        method.load_state_dict({"step": 1, "alpha": 1.0})


@every_method
def test_a_missing_option_is_named(key: str) -> None:
    if key != "stl":
        get_method(key, 2)
        return
    with pytest.raises(ValueError, match="method 'stl' needs the option main_task"):
        get_method("stl", 2)


def test_unknown_method() -> None:
    with pytest.raises(ValueError, match=r"unknown method 'nash'.*nash_mtl") as caught:
        get_method("nash", 2)
    assert all(key in str(caught.value) for key in METHODS)
    with pytest.raises(ValueError, match="Did you mean 'pcgrad'"):
        get_method("pc_grad", 2)


@every_method
def test_unknown_option(key: str) -> None:
    with pytest.raises(ValueError, match=f"method '{key}' has no option learning_rate; its options are"):
        make(key, 2, learning_rate=0.1)


def test_an_unknown_option_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match="c, rescale, weight_heads, max_norm, task_gradients"):
        get_method("cagrad", 2, alpha=0.5)
    with pytest.raises(ValueError, match="seed"):
        get_method("rlw", 2, sede=0)


@every_method
@pytest.mark.parametrize("n_tasks", [0, -1])
def test_no_tasks(key: str, n_tasks: int) -> None:
    with pytest.raises(ValueError, match="at least one task"):
        get_method(key, n_tasks, **({"main_task": 0} if key == "stl" else {}))


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        *((key, {"max_norm": -1.0}, "max_norm is -1.0") for key in GRADIENT_METHODS),
        *((key, {"max_norm": float("nan")}, "max_norm is nan") for key in GRADIENT_METHODS),
        *((key, {"task_gradients": "vmap"}, "choose one of auto, loop, batched") for key in GRADIENT_METHODS),
        ("cagrad", {"c": 1.0}, "c is 1.0"),
        ("cagrad", {"c": -0.1}, "c is -0.1"),
        ("cagrad", {"c": float("nan")}, "c is nan"),
        *(("fairgrad", {"alpha": value}, f"alpha is {value}") for value in (0.0, -1.0, float("inf"), float("nan"))),
        ("aligned_mtl", {"scale_mode": "mean"}, "choose one of min, median, rmse"),
        ("aligned_mtl", {"task_weights": [1.0]}, "give 2 non-negative numbers"),
        ("aligned_mtl", {"tolerance": 1.0}, "tolerance is 1.0"),
        ("famo", {"lr": 0.0}, r"lr \(0.0\) must be a positive number"),
        ("famo", {"decay": -1.0}, r"decay \(-1.0\) one of at least 0"),
        ("famo", {"minimum_losses": [0.0, float("nan")]}, "give 2 finite numbers"),
        ("nash_mtl", {"solver": "ecos"}, "choose one of newton, ccp"),
        ("nash_mtl", {"update_weights_every": 0}, "must be at least 1"),
        ("nash_mtl", {"ccp_steps": 0}, "must be at least 1"),
        *((key, {"gradients": "features"}, "choose one of representation, shared") for key in GRAMIAN_METHODS),
    ],
)
def test_option_values(key: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        get_method(key, 2, **options)
