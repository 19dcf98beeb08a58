"""GradDrop: which entries survive, how often, and what leaks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from methods import GradDrop
from methods.graddrop import step_generator
from methods.gradients import TaskGradients
from tests.methods.samplers import Problem, make


def drop(method: GradDrop, gradient: Tensor) -> Tensor:
    """What becomes of one parameter's task gradients ``[K, *shape]``."""
    combined, step = method.combine(TaskGradients([gradient], len(gradient)), [])
    assert step.weights is None
    return combined[0]


@pytest.fixture
def gradient() -> Tensor:
    return torch.randn(3, 40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_survivors_have_one_sign(gradient: Tensor) -> None:
    positive, negative = gradient.clamp(min=0).sum(0), gradient.clamp(max=0).sum(0)
    dropped = drop(GradDrop(3), gradient)
    is_positive, is_negative = torch.isclose(dropped, positive), torch.isclose(dropped, negative)
    assert bool((is_positive | is_negative).all())
    assert is_positive.any()
    assert is_negative.any()


def test_the_positive_sign_survives_with_the_sign_purity() -> None:
    gradient = torch.tensor([[3.0], [-1.0], [1.0]], dtype=torch.float64).expand(3, 200_000)  # P = ½(1 + 3/5) = 0.8
    dropped = drop(GradDrop(3), gradient)
    share = (dropped > 0).double().mean().item()
    assert share == pytest.approx(0.8, abs=0.005)  # five standard deviations are 0.0045
    assert sorted(set(dropped.tolist())) == [-1.0, 4.0]
    assert dropped.mean().item() == pytest.approx(0.8 * 4.0 - 0.2 * 1.0, abs=0.025)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gradients_of_one_sign_all_survive(dtype: torch.dtype, sign: float) -> None:
    """At every entry: no draw may round up to the purity, not even in bfloat16."""
    gradient = (sign * torch.ones(2, 100_000)).to(dtype)
    assert torch.equal(drop(GradDrop(2), gradient), gradient.sum(0))


def test_half_precision_sums_do_not_overflow_before_the_result() -> None:
    """Σ|g| is beyond float16's 65504 here, while what survives is not."""
    gradient = torch.tensor([[4e4], [2e4], [-3e4]], dtype=torch.float16).expand(3, 20_000)  # P = ½(1 + 3/9) = 2/3
    dropped = drop(GradDrop(3), gradient)
    assert dropped.dtype == torch.float16
    assert sorted(set(dropped.tolist())) == [-3e4, 6e4]
    assert (dropped > 0).double().mean().item() == pytest.approx(2 / 3, abs=0.017)  # five standard deviations


def test_zero_where_all_gradients_are_zero(gradient: Tensor) -> None:
    gradient[:, 0] = 0.0
    dropped = drop(GradDrop(3), gradient)
    assert torch.equal(dropped[0], torch.zeros(5, dtype=torch.float64))
    assert dropped.isfinite().all()


def test_full_leak_is_linear_scalarisation(gradient: Tensor) -> None:
    torch.testing.assert_close(drop(GradDrop(3, leak=1.0), gradient), gradient.sum(0))
    problem, same = Problem(3), Problem(3)
    problem.backward(GradDrop(3, leak=1.0))
    same.backward(make("ls", 3))
    assert problem.written() == pytest.approx(same.written(), rel=1e-12)


def test_leak_is_a_share_of_each_tasks_own(gradient: Tensor) -> None:
    leak = torch.tensor([0.2, 0.0, 0.7], dtype=torch.float64).view(3, 1, 1)
    survivors = drop(GradDrop(3), gradient)
    kept = torch.where(survivors > 0, gradient > 0, gradient < 0)
    expected = (gradient * (leak + (1.0 - leak) * kept)).sum(0)
    torch.testing.assert_close(drop(GradDrop(3, leak=[0.2, 0.0, 0.7]), gradient), expected)


def test_draws_come_from_the_methods_own_generator(gradient: Tensor) -> None:
    before = torch.get_rng_state()
    method = GradDrop(3, seed=1)
    first = drop(method, gradient)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, drop(GradDrop(3, seed=1), gradient))
    assert not torch.equal(first, drop(GradDrop(3, seed=2), gradient))
    assert not torch.equal(first, drop(method, gradient))


@pytest.mark.parametrize("leak", [1.5, -0.1, float("nan"), [0.5, 2.0, 0.5], [0.5, 0.5]])
def test_a_leak_that_is_no_share_for_each_task_is_an_error(leak: float | list[float]) -> None:
    with pytest.raises(ValueError, match="leak is"):
        GradDrop(3, leak=leak)


def test_the_cpu_draws_from_the_generator_itself() -> None:
    generator = torch.Generator().manual_seed(3)
    assert step_generator(generator, torch.device("cpu")) is generator


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_draws_for_itself_from_one_number_of_the_generator() -> None:
    gradient = torch.randn(3, 1000, device="cuda")
    first, again, other = (drop(GradDrop(3, seed=seed), gradient) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    method = GradDrop(3)
    before = method.generator.get_state()
    assert not torch.equal(drop(method, gradient), drop(method, gradient))
    torch.rand(2, generator=method.generator)
    assert not torch.equal(before, method.generator.get_state())
