"""FAMO: its weights, the logits' steps against torch's own Adam, and what a loop has to tell it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from methods import FAMO, NonFiniteLoss, NonPositiveLoss
from tests.methods.samplers import Problem, make

SEQUENCE = [[1.0, 4.0, 0.3], [0.9, 3.0, 0.31], [0.5, 2.9, 0.1], [0.4, 2.9, 0.2], [0.1, 2.0, 1e-12]]
EPSILON = 1e-8


def tensor(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class ByAutograd:
    """The logits as a parameter of torch's Adam, and the gradient of Σ zᵢ(ξ) δᵢ by autograd."""

    def __init__(self, n_tasks: int, lr: float = 0.025, decay: float = 0.001) -> None:
        self.logits = torch.zeros(n_tasks, dtype=torch.float64, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.logits], lr=lr, weight_decay=decay)

    def weights(self, losses: Tensor) -> Tensor:
        """Derivatives of Σ zᵢ log Lᵢ, divided by their sum."""
        variable = losses.clone().requires_grad_()
        (self.logits.detach().softmax(0) * (variable + EPSILON).log()).sum().backward()
        assert variable.grad is not None
        return variable.grad / variable.grad.sum()

    def update(self, before: Tensor, after: Tensor) -> None:
        fell = (before + EPSILON).log() - (after + EPSILON).log()
        self.optimizer.zero_grad()
        (self.logits.softmax(0) * fell).sum().backward()
        self.optimizer.step()


@pytest.mark.parametrize("decay", [0.0, 0.001, 2.0])
@pytest.mark.parametrize("told", [True, False])
def test_weights_and_logits_follow_the_algorithm(decay: float, told: bool) -> None:
    """``told`` of the losses after each step, or left to the next step's."""
    method, plain = FAMO(3, decay=decay), ByAutograd(3, decay=decay)
    for now, following in itertools.pairwise(SEQUENCE):
        losses, after = tensor(now), tensor(following)
        _, weights = method.objective(losses)
        torch.testing.assert_close(weights, plain.weights(losses), rtol=1e-10, atol=0.0)
        assert weights.sum().item() == pytest.approx(1.0)
        plain.update(losses, after)
        if told:
            method.update(after)
            torch.testing.assert_close(method.logits, plain.logits.detach(), rtol=1e-10, atol=1e-12)


def test_a_task_that_lags_behind_gains_weight() -> None:
    method = FAMO(2)
    before, after = tensor([1.0, 1.0]), tensor([0.5, 0.99])
    first = method.objective(before)[1]
    method.update(after)
    second = method.objective(before)[1]
    assert first.tolist() == [0.5, 0.5] and second[1] > second[0]


def test_tasks_that_fall_alike_keep_their_weights() -> None:
    method = FAMO(3)
    losses = tensor([200.0, 30.0, 5000.0])
    first = method.objective(losses)[1]
    method.update(losses * 0.7)
    torch.testing.assert_close(method.objective(losses)[1], first, rtol=1e-3, atol=0.0)  # 1e-8 is added to each


def test_at_first_every_log_loss_counts_the_same() -> None:
    """The direction is then that of scale-invariant scalarisation."""
    problem, other = Problem(3), Problem(3)
    step = problem.backward(FAMO(3))
    scale = other.backward(make("si", 3)).weights.sum().item()
    assert scale * problem.written() == pytest.approx(other.written(), rel=1e-6)
    assert step.diagnostics["status"] == "first"


def test_the_status_says_which_losses_the_logits_know() -> None:
    problem, method = Problem(3), FAMO(3)
    found = []
    for told in (True, True, False, False, True, True):
        found.append(problem.backward(method).diagnostics["status"])
        if told:
            method.update([0.9 * loss.detach() for loss in problem.losses()])
    assert found == ["first", "same_batch", "same_batch", "next_batch", "next_batch", "same_batch"]
    assert method.updates == 6


def test_losses_without_a_step_before_them_teach_nothing() -> None:
    method = FAMO(2)
    method.update(tensor([1.0, 2.0]))
    assert method.updates == 0
    method.objective(tensor([1.0, 2.0]))
    method.update(tensor([1.0, 1.0]))
    method.update(tensor([0.5, 1.0]))
    assert method.updates == 1


def test_minimum_losses_are_subtracted() -> None:
    shifted, plain = FAMO(2, minimum_losses=[-1.0, 3.0]), FAMO(2)
    for losses in ([1.0, 4.0], [0.5, 3.9], [0.4, 3.1]):
        own = tensor(losses)
        torch.testing.assert_close(shifted.objective(own + tensor([-1.0, 3.0]))[1], plain.objective(own)[1])


def test_a_loss_below_its_minimum_is_refused_before_anything_is_written() -> None:
    problem = Problem(2)
    losses = problem.losses()
    with pytest.raises(NonPositiveLoss, match=r"not negative, got \(task: value\) \{1: -[\d.]+\}.*minimum_losses"):
        problem.backward(FAMO(2), [losses[0], -losses[1]])
    assert all(parameter.grad is None for parameter in problem.parameters())
    method = FAMO(2)
    method.objective(tensor([1.0, 1.0]))
    with pytest.raises(NonPositiveLoss):
        method.update(tensor([1.0, -1.0]))


def test_a_loss_of_zero_is_allowed() -> None:
    """As where a batch has no valid pixel: 1e-8 is added to it, as released."""
    method = FAMO(2)
    weights = method.objective(tensor([0.0, 1.0]))[1]
    assert weights.isfinite().all() and weights[0] > 0.999


def test_losses_after_a_step_are_checked() -> None:
    method = FAMO(2)
    method.objective(tensor([1.0, 1.0]))
    with pytest.raises(ValueError, match="expected 2 scalar losses, got 3"):
        method.update(tensor([1.0, 1.0, 1.0]))
    with pytest.raises(NonFiniteLoss, match=r"\{0: nan\}; the step that led to them was made"):
        method.update([torch.tensor(float("nan")), torch.tensor(1.0)])


@pytest.mark.parametrize("key", ["ls", "dwa", "nash_mtl"])
def test_other_methods_leave_the_losses_after_a_step_alone(key: str) -> None:
    method = make(key, 2)
    before = repr(method.state_dict())
    assert not method.needs_losses_after
    method.update(tensor([1.0, 2.0]))
    assert repr(method.state_dict()) == before


def test_it_resumes_between_a_step_and_what_it_led_to() -> None:
    method, resumed = FAMO(2), FAMO(2)
    method.objective(tensor([1.0, 2.0]))
    method.update(tensor([0.7, 2.0]))
    method.objective(tensor([0.8, 2.0]))
    resumed.load_state_dict(method.state_dict())
    for each in (method, resumed):
        each.update(tensor([0.6, 1.0]))
    assert torch.equal(method.logits, resumed.logits) and resumed.updates == 2
    assert torch.equal(method.objective(tensor([1.0, 1.0]))[1], resumed.objective(tensor([1.0, 1.0]))[1])


def test_log_losses_fall_together() -> None:
    """Two quadratics of curvatures 100 apart: FAMO's log-losses part far less than those of the plain sum."""

    def gap(key: str) -> float:
        theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
        method = make(key, 2)
        optimizer = torch.optim.SGD([theta], lr=0.02)

        def losses() -> Tensor:
            return torch.stack([(theta[0] - 1.0).square() + 0.01, 0.01 * (theta[1] - 1.0).square() + 1e-4])

        for _ in range(300):
            method.backward(losses(), shared_parameters=[theta])
            optimizer.step()
            with torch.no_grad():
                method.update(losses())
        fell = losses().detach().log()
        return abs(fell[0] - fell[1] - torch.tensor(100.0).log()).item()

    assert gap("famo") < 0.5 * gap("ls")
