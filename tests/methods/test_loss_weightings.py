"""Methods that weigh the losses by themselves: LS, STL, SI, RLW, DWA, UW; FAMO has a file of its own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from methods.base import LossWeighting
from tests.methods.samplers import Problem, make

KEYS = ("ls", "stl", "si", "rlw", "dwa", "uw", "famo")
LOSSES = torch.tensor([0.5, 2.0, 10.0], dtype=torch.float64)


def evaluate(method: LossWeighting, losses: Tensor = LOSSES) -> tuple[float, list[float]]:
    objective, weights = method.objective(losses)
    return objective.item(), weights.tolist()


@pytest.mark.parametrize("key", KEYS)
def test_weights_are_the_derivatives_of_the_objective(key: str) -> None:
    losses = LOSSES.clone().requires_grad_()
    objective, weights = make(key, 3).objective(losses)
    (derivative,) = torch.autograd.grad(objective, losses)
    torch.testing.assert_close(weights.detach().double(), derivative)


def test_ls_sums() -> None:
    assert evaluate(make("ls", 3)) == (12.5, [1.0, 1.0, 1.0])
    assert evaluate(make("ls", 3, task_weights=[2.0, 0.0, 0.5])) == (6.0, [2.0, 0.0, 0.5])


@pytest.mark.parametrize("task_weights", [[1.0, 1.0], [1.0, -1.0, 1.0], [], [1.0, float("nan"), 1.0]])
def test_ls_weights_that_do_not_fit(task_weights: list[float]) -> None:
    with pytest.raises(ValueError, match="give 3 non-negative numbers"):
        make("ls", 3, task_weights=task_weights)


def test_stl_takes_one_task() -> None:
    assert evaluate(make("stl", 3, main_task=1)) == (2.0, [0.0, 1.0, 0.0])
    problem = Problem(3)
    problem.backward(make("stl", 3, main_task=0))
    assert problem.written() == pytest.approx(problem.gradient_matrix()[:, 0])
    assert problem.heads[0].grad.any()
    assert not problem.heads[1].grad.any()
    assert not problem.heads[2].grad.any()


@pytest.mark.parametrize("main_task", [-1, 3])
def test_stl_of_a_task_that_is_not_there(main_task: int) -> None:
    with pytest.raises(ValueError, match="from 0 to 2"):
        make("stl", 3, main_task=main_task)


def test_si_sums_logarithms() -> None:
    objective, weights = evaluate(make("si", 3))
    assert objective == pytest.approx(math.log(0.5 * 2.0 * 10.0))
    assert weights == pytest.approx([2.0, 0.5, 0.1])


def test_si_does_not_see_the_scale_of_a_loss() -> None:
    written = []
    for factors in ([1.0, 1.0, 1.0], [1e-6, 1.0, 1e6]):
        problem = Problem(3)
        losses = [factor * loss for factor, loss in zip(factors, problem.losses(), strict=True)]
        problem.backward(make("si", 3), losses)
        written.append(problem.written())
    assert written[1] == pytest.approx(written[0], rel=1e-10)


@pytest.mark.parametrize("value", [0.0, -0.5])
def test_si_needs_positive_losses(value: float) -> None:
    problem = Problem(3)
    losses = problem.losses()
    losses[1] = losses[1] - losses[1].detach() + value
    with pytest.raises(ValueError, match=r"positive losses, got \(task: value\) \{1: "):
        problem.backward(make("si", 3), losses)
    assert problem.first.grad is None


def test_rlw_draws_from_the_simplex_anew_each_time() -> None:
    method, same, other = make("rlw", 3, seed=1), make("rlw", 3, seed=1), make("rlw", 3, seed=2)
    before = torch.get_rng_state()
    draws = torch.tensor([evaluate(method)[1] for _ in range(2000)], dtype=torch.float64)  # [N, K]
    assert torch.equal(torch.get_rng_state(), before)
    assert (draws > 0).all()
    torch.testing.assert_close(draws.sum(dim=1), torch.ones(2000, dtype=torch.float64))
    assert draws.mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert len(draws.unique(dim=0)) == 2000
    repeated = torch.tensor([evaluate(same)[1] for _ in range(2000)], dtype=torch.float64)
    assert torch.equal(draws, repeated)
    assert evaluate(other)[1] != draws[0].tolist()


def test_rlw_is_the_softmax_of_a_normal_draw() -> None:
    """Then log(w₁/w₂) is the difference of two standard normal draws, of variance 2."""
    method = make("rlw", 2)
    losses = torch.ones(2, dtype=torch.float64)
    ratios = torch.tensor([evaluate(method, losses)[1] for _ in range(4000)], dtype=torch.float64).log()
    assert (ratios[:, 0] - ratios[:, 1]).var().item() == pytest.approx(2.0, abs=0.2)


def dwa_weights(previous: list[float], before: list[float], temperature: float) -> list[float]:
    exponentials = [math.exp(a / b / temperature) for a, b in zip(previous, before, strict=True)]
    return [e / sum(exponentials) for e in exponentials]


def test_dwa_schedule() -> None:
    """Equal weights for two windows, then the ratio of the last two complete windows' means."""
    method = make("dwa", 2, window=2, temperature=2.0)
    sequence = [[1.0, 4.0], [3.0, 2.0], [1.0, 6.0], [2.0, 6.0], [9.0, 9.0], [1.0, 5.0], [7.0, 7.0]]
    means = [[2.0, 3.0], [1.5, 6.0], [5.0, 7.0]]
    weights = [evaluate(method, torch.tensor(losses, dtype=torch.float64))[1] for losses in sequence]
    assert weights[:4] == [[0.5, 0.5]] * 4
    assert weights[4] == weights[5] == pytest.approx(dwa_weights(means[1], means[0], 2.0))
    assert weights[6] == pytest.approx(dwa_weights(means[2], means[1], 2.0))


def test_dwa_gives_constant_losses_equal_weights_forever() -> None:
    method = make("dwa", 2)
    losses = torch.tensor([10.0, 0.1], dtype=torch.float64)
    assert [evaluate(method, losses)[1] for _ in range(120)] == [[0.5, 0.5]] * 120


def test_dwa_options() -> None:
    sequence = [[1.0, 1.0], [3.0, 1.0], [1.0, 1.0]]
    for temperature in (0.5, 2.0):
        method = make("dwa", 2, window=1, temperature=temperature, normalise=False)
        weights = [evaluate(method, torch.tensor(losses, dtype=torch.float64))[1] for losses in sequence]
        expected = [2.0 * w for w in dwa_weights([3.0, 1.0], [1.0, 1.0], temperature)]
        assert weights[2] == pytest.approx(expected)
    for bad in ({"temperature": 0.0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"window": 0}):
        with pytest.raises(ValueError, match="temperature"):
            make("dwa", 2, **bad)


@pytest.mark.parametrize("after", [1.0, -1.0, 0.0])
def test_dwa_of_a_loss_that_was_exactly_zero(after: float) -> None:
    """It has no rate, and counts as one that has not changed, whatever follows."""
    method = make("dwa", 2, window=1)
    for losses in ([0.0, 1.0], [after, 1.0]):
        evaluate(method, torch.tensor(losses, dtype=torch.float64))
    assert evaluate(method, torch.ones(2, dtype=torch.float64))[1] == [0.5, 0.5]


def test_uw_at_its_start_and_elsewhere() -> None:
    method = make("uw", 3)
    assert evaluate(method) == (6.25, [0.5, 0.5, 0.5])
    (log_variance,) = method.parameters()
    with torch.no_grad():
        log_variance.copy_(torch.tensor([0.0, 1.0, -1.0]))
    objective, weights = evaluate(method)
    expected = [0.5, 0.5 * math.exp(-1.0), 0.5 * math.e]
    assert weights == pytest.approx(expected, rel=1e-6)
    assert objective == pytest.approx(0.25 + math.exp(-1.0) + 5.0 * math.e, rel=1e-6)


def test_uw_writes_the_gradient_of_its_own_parameters() -> None:
    problem = Problem(3)
    method = make("uw", 3)
    (log_variance,) = method.parameters()
    with torch.no_grad():
        log_variance.copy_(torch.tensor([0.0, 1.0, -1.0]))
    losses = problem.losses()
    values = torch.stack([loss.detach() for loss in losses])
    problem.backward(method, losses)
    expected = 0.5 * (1.0 - torch.exp(-log_variance.detach().double()) * values)
    torch.testing.assert_close(log_variance.grad.double(), expected, rtol=1e-6, atol=1e-7)


def test_uw_learns_the_losses_as_its_variances() -> None:
    method = make("uw", 3)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.05)
    for _ in range(1500):
        optimiser.zero_grad()
        method.objective(LOSSES)[0].backward()
        optimiser.step()
    assert method.parameters()[0].exp().tolist() == pytest.approx(LOSSES.tolist(), rel=1e-3)


@pytest.mark.parametrize("key", [key for key in KEYS if key != "uw"])
def test_only_uw_has_parameters(key: str) -> None:
    assert make(key, 3).parameters() == []
