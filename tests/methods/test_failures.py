"""Whatever goes wrong, either the documented result or a clear error; never NaN in a parameter's gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from methods import METHODS, NonFiniteGradient, NonFiniteLoss, NonPositiveLoss, Step, get_method
from tests.methods.samplers import GRADIENT_METHODS, GRAMIAN_METHODS, Problem, make

every_method = pytest.mark.parametrize("key", list(METHODS))
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


def assert_finite(problem: nn.Module) -> None:
    for parameter in problem.parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all())


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


# --- hard but legitimate steps ---


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
    assert step.weights[2] == 0.0
    assert not problem.heads[2].grad.any()
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


def test_fairgrad_and_aligned_mtl_leave_out_a_task_with_a_zero_gradient() -> None:
    """Its head goes on: theirs are not weighted."""
    for key in ("fairgrad", "aligned_mtl"):
        problem, without = Problem(3), Problem(3)
        step = problem.backward(make(key, 3), [*problem.losses()[:2], (problem.heads[2] ** 2).sum()])
        assert step.diagnostics.get("status", "zero_gradient") == "zero_gradient"
        assert step.weights[2] == pytest.approx(0.0, abs=1e-12)
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
