"""Every method on problems that hypothesis makes up: the step is good, or it is refused and nothing has changed.

Two levels. On autograd, tasks of every odd kind on one trunk, in four number formats, at scales from 1e-30 to 1e30.
On Gramians, the methods' pure functions from a Gramian to weights, at every rank, with copies, opposites and zeros.
``HYPOTHESIS_EXAMPLES`` sets how many problems each test makes up (the reliability table's figure is for 2000).
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from methods import METHODS, GramianWeighting, NonFiniteGradient, NonFiniteLoss
from methods.bargaining import RESIDUAL_TOLERANCE, residual, solve_bargaining
from tests.methods.samplers import Matrix, make

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "40"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, derandomize=True)

CASES: list[tuple[str, dict[str, Any]]] = [(key, {}) for key in METHODS] + [
    ("imtl_g", {"gradients": "shared"}),
    ("cagrad", {"weight_heads": True, "max_norm": 1.0}),
    ("graddrop", {"leak": 0.5}),
    ("fairgrad", {"alpha": 5.0, "weight_heads": True}),
    ("aligned_mtl", {"scale_mode": "median", "max_norm": 1.0}),
    ("nash_mtl", {"update_weights_every": 2, "weight_heads": False, "task_gradients": "batched"}),
]
every_case = pytest.mark.parametrize(("key", "options"), CASES, ids=[f"{k}{o or ''}" for k, o in CASES])

KINDS = (
    *("plain", "plain", "plain"),  # as likely as all others together would leave no problem whole
    *("zero", "constant", "detached", "copy", "opposite", "apart", "loss of NaN", "infinite loss"),
    *("shared gradient of NaN", "head gradient of NaN", "infinite gradient"),
)
DTYPES = {
    torch.float64: (30, 1e-9),
    torch.float32: (30, 1e-4),
    torch.bfloat16: (30, 0.05),
    torch.float16: (4, 0.02),
}


class Recipe(NamedTuple):
    """What hypothesis chooses: ``kinds[k]`` and ``decades[k]`` (a power of ten) of each task."""

    dtype: torch.dtype
    kinds: list[str]
    decades: list[int]
    seed: int


@st.composite
def recipes(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS) -> Recipe:
    dtype = draw(st.sampled_from(list(DTYPES)))
    n_tasks = draw(st.sampled_from((1, 2, 3, 4, 7)))
    widest = DTYPES[dtype][0]
    tasks = draw(st.lists(st.sampled_from(kinds), min_size=n_tasks, max_size=n_tasks))
    scaled = st.one_of(st.just(0), st.integers(-widest, widest))
    decades = draw(st.lists(scaled, min_size=n_tasks, max_size=n_tasks))
    return Recipe(dtype, tasks, decades, draw(st.integers(0, 2**16)))


class GeneratedProblem(nn.Module):
    """K tasks on a trunk of one layer, made as a recipe says, with a frozen and an unused parameter beside it."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(recipe.seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(recipe.dtype)

        self.recipe, self.inputs = recipe, draw(6, 3)
        self.trunk = nn.Parameter(draw(3, 4))
        self.frozen = nn.Parameter(draw(4), requires_grad=False)
        self.unused = nn.Parameter(draw(2))
        self.heads = nn.ParameterList([nn.Parameter(draw(4)) for _ in recipe.kinds])
        self.features: Tensor

    def losses(self) -> list[Tensor]:
        self.features = torch.tanh(self.inputs @ self.trunk) + self.frozen
        plain = [(self.features @ head).square().mean() + 0.5 for head in self.heads]
        made = [self._loss(k, kind, plain) for k, kind in enumerate(self.recipe.kinds)]
        if not any(loss.requires_grad for loss in made):
            made[0] = plain[0]
        return [loss * 10.0**decades for loss, decades in zip(made, self.recipe.decades, strict=True)]

    def _loss(self, k: int, kind: str, plain: list[Tensor]) -> Tensor:
        def root_at_zero(x: Tensor) -> Tensor:
            return (x * 0.0).sum().square().sqrt()  # zero, with a derivative of NaN

        return {
            "plain": lambda: plain[k],
            "zero": lambda: 0.0 * plain[k] + 1.0,
            "constant": lambda: torch.ones_like(plain[k]),
            "detached": lambda: plain[k].detach(),
            "copy": lambda: plain[0] * 1.0,
            "opposite": lambda: 3.0 - plain[0],
            "apart": lambda: self.heads[k].square().sum() + 0.5,  # shares no graph with the others
            "loss of NaN": lambda: plain[k] * float("nan"),
            "infinite loss": lambda: plain[k] + float("inf"),
            "shared gradient of NaN": lambda: plain[k] + root_at_zero(self.trunk),
            "head gradient of NaN": lambda: plain[k] + root_at_zero(self.heads[k]),
            "infinite gradient": lambda: plain[k] + (self.trunk * 0.0).sum().abs().sqrt(),
        }[kind]()

    def shared(self) -> list[nn.Parameter]:
        return [self.trunk, self.frozen, self.unused]


def mark(problem: GeneratedProblem) -> None:
    for parameter in problem.parameters():
        parameter.grad = torch.full_like(parameter, 5.0)


def unwritten(problem: GeneratedProblem) -> bool:
    return all(p.grad is not None and bool((p.grad == 5.0).all()) for p in problem.parameters())


def finite_state(value: Any) -> bool:
    if isinstance(value, dict):
        return all(finite_state(entry) for entry in value.values())
    return not isinstance(value, Tensor) or not value.is_floating_point() or bool(value.isfinite().all())


@every_case
@SETTINGS
@given(recipe=recipes())
def test_a_step_is_good_or_refused(key: str, options: dict[str, Any], recipe: Recipe) -> None:
    problem = GeneratedProblem(recipe)
    method = make(key, len(recipe.kinds), **options)
    for _ in range(3):  # reused weights too, and a step after a refused one
        mark(problem)
        losses = problem.losses()
        try:
            step = method.backward(losses, shared_parameters=problem.shared(), representation=problem.features)
        except NonFiniteLoss:
            assert not all(bool(loss.isfinite()) for loss in losses)
            assert unwritten(problem)
        except NonFiniteGradient:
            assert unwritten(problem)
        except ValueError:
            if key not in ("si", "famo") or all(float(loss.detach()) > 0 for loss in losses):
                raise  # only SI and FAMO refuse finite losses, those that have no logarithm
            assert unwritten(problem)
        else:
            assert all(bool(loss.isfinite()) for loss in losses)
            for parameter in problem.parameters():
                assert parameter.grad is None or bool(parameter.grad.isfinite().all())
                assert parameter.grad is None or parameter.grad.dtype == recipe.dtype
            assert problem.unused.grad is None
            assert bool((problem.frozen.grad == 5.0).all()), "a frozen parameter is left alone"
            assert step.weights is None or bool(step.weights.isfinite().all())
        assert finite_state(method.state_dict())


HARMLESS = ("plain", "plain", "zero", "detached", "copy", "apart")


@every_case
@SETTINGS
@given(recipe=recipes(HARMLESS))
def test_problems_within_range_are_not_refused(key: str, options: dict[str, Any], recipe: Recipe) -> None:
    """Finite losses and gradients that their format can hold always give a step."""
    # CAGrad's weight of a task whose gradient is zero is up to 1e5, which a head in float16 cannot be weighted by.
    assume(not (recipe.dtype == torch.float16 and key == "cagrad" and options))
    recipe = recipe._replace(decades=[0] * len(recipe.decades))
    problem = GeneratedProblem(recipe)
    method = make(key, len(recipe.kinds), **options)
    for _ in range(2):
        method.backward(problem.losses(), shared_parameters=problem.shared(), representation=problem.features)


@pytest.mark.parametrize("key", list(METHODS))
@SETTINGS
@given(dtype=st.sampled_from(list(DTYPES)), seed=st.integers(0, 2**16))
def test_one_task_is_its_own_gradient_times_a_positive_number(key: str, dtype: torch.dtype, seed: int) -> None:
    problem = GeneratedProblem(Recipe(dtype, ["plain"], [0], seed))
    losses = problem.losses()
    (gradient,) = torch.autograd.grad(losses[0], [problem.trunk], retain_graph=True)
    make(key, 1).backward(losses, shared_parameters=problem.shared(), representation=problem.features)
    assert problem.trunk.grad is not None
    written, gradient = problem.trunk.grad.double().flatten(), gradient.double().flatten()
    cosine = torch.dot(written, gradient) / (written.norm() * gradient.norm())
    assert float(cosine) == pytest.approx(1.0, abs=DTYPES[dtype][1])


# --- from a Gramian to weights ---


@st.composite
def gradient_matrices(draw: st.DrawFn) -> Matrix:
    """G ``[d, K]`` of any rank, with zeros, copies and opposites among its columns, scales 1e-30 to 1e30."""
    n_tasks, dimension = draw(st.sampled_from((1, 2, 3, 5, 11, 40))), draw(st.sampled_from((1, 2, 3, 12, 60)))
    random = np.random.default_rng(draw(st.integers(0, 2**20)))
    gradients = random.normal(size=(dimension, n_tasks)) + draw(st.sampled_from((0.0, 0.5, 10.0)))
    for _ in range(draw(st.integers(0, 3))):
        place, other = random.integers(n_tasks, size=2)
        factor = draw(st.sampled_from((0.0, 1.0, -1.0, 1.0 + 1e-9, -1.0 + 1e-9)))
        gradients[:, place] = factor * gradients[:, other]
    decades = draw(st.sampled_from((0, 3, 30)))
    return gradients * 10.0 ** random.uniform(-decades, decades, size=n_tasks)


def gramian_methods() -> list[tuple[str, dict[str, Any]]]:
    found = [key for key, cls in METHODS.items() if issubclass(cls, GramianWeighting)]
    return [(key, {}) for key in found] + [
        *(("cagrad", {"c": c}) for c in (0.0, 0.99)),
        *(("fairgrad", {"alpha": alpha}) for alpha in (0.5, 10.0)),
        *(("aligned_mtl", {"scale_mode": mode, "tolerance": 0.0}) for mode in ("min", "median", "rmse")),
    ]


@pytest.mark.parametrize(("key", "options"), gramian_methods())
@SETTINGS
@given(gradients=gradient_matrices())
def test_weights_from_any_gramian_are_finite(key: str, options: dict[str, Any], gradients: Matrix) -> None:
    method = make(key, gradients.shape[1], **options)
    assert isinstance(method, GramianWeighting)
    weights = method.weights(torch.from_numpy(gradients.T @ gradients))
    assert weights.shape == (gradients.shape[1],) and weights.dtype == torch.float64
    assert bool(weights.isfinite().all())
    if key in ("mgda", "nash_mtl", "fairgrad"):
        assert bool((weights >= 0).all())


@SETTINGS
@given(gradients=gradient_matrices())
def test_a_solved_bargaining_is_solved(gradients: Matrix) -> None:
    """Whatever the Gramian, the status is one of the documented ones and means what it says."""
    gramian = gradients.T @ gradients
    solution = solve_bargaining(gramian)
    bargaining = np.diag(gramian) > 0
    assert (solution.weights[~bargaining] == 1).all()
    if solution.status == "solved" or (solution.status == "zero_gradient" and bargaining.any()):
        inner, alpha = gramian[np.ix_(bargaining, bargaining)], solution.weights[bargaining]
        assert (alpha > 0).all()
        assert residual(inner, alpha) <= 10 * RESIDUAL_TOLERANCE
    else:
        assert solution.status in ("stationary", "not_converged", "zero_gradient")
