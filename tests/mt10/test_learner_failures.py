"""NaN and infinite values: named by component, seed and task, and nothing is written."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from experiments.mt10.component import adam
from experiments.mt10.health import Health
from experiments.mt10.learner import Learner
from methods import GradDrop, GradientMethod, NashMTL, NonFiniteGradient, NonFiniteLoss
from methods.gradients import TaskGradients
from tests.mt10.learners import TASKS, random_batch, small_learner, updated


def everything(learner: Learner) -> list[Tensor]:
    tensors = [*learner.parameters.values(), *learner.targets.values(), learner.temperature.values()]
    return [tensor.detach().clone() for tensor in tensors]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("method", ["ls", "uw", "graddrop", "cagrad", "nash_mtl"])
def test_a_reward_that_is_not_finite(method: str, value: float) -> None:
    learner = updated(small_learner(method=method, seeds=(3, 5)), 1, n_seeds=2)
    before = everything(learner)
    batch = random_batch(2, seed=1)
    batch.rewards[1, 2, 0] = value
    with pytest.raises(NonFiniteLoss, match=r"the critic loss is not finite for seed 5 task drawer-close; nothing"):
        learner.update(batch)
    assert all(torch.equal(own, other) for own, other in zip(everything(learner), before, strict=True))


@pytest.mark.parametrize("method", ["ls", "nash_mtl"])
def test_an_actor_that_is_not_finite(method: str) -> None:
    """Only one seed's actor: its critics' targets show it first, and the other seed is not blamed."""
    learner = updated(small_learner(method=method, seeds=(3, 5)), 1, n_seeds=2)
    with torch.no_grad():
        learner.parameters["actor.0.weight"][0] = float("nan")
    before = everything(learner)
    with pytest.raises(NonFiniteLoss, match="seed 3 task reach, seed 3 task push, seed 3 task drawer-close; not"):
        learner.update(random_batch(2, seed=1))
    for own, other in zip(everything(learner), before, strict=True):
        assert torch.equal(own.nan_to_num(), other.nan_to_num())


@pytest.mark.parametrize("method", ["ls", "graddrop", "nash_mtl"])
def test_a_gradient_that_is_not_finite_though_the_loss_is(method: str) -> None:
    learner = small_learner(method=method, seeds=(3, 5))
    batch = random_batch(2)
    batch.rewards[0, 1] = 1.5e19  # squared 2e38: the loss is finite, the gradient's products are not
    before = everything(learner)
    with pytest.raises((NonFiniteGradient, NonFiniteLoss), match=r"critic .*seed 3"):
        learner.update(batch)
    assert all(torch.equal(own, other) for own, other in zip(everything(learner), before, strict=True))


@pytest.mark.parametrize(
    ("bad", "named"),
    [([1], "the gradients of task push hold"), ([0, 2], "the gradients of tasks reach, drawer-close h")],
)
@pytest.mark.parametrize("kind", [NashMTL, GradDrop])
def test_a_methods_own_complaint_has_the_tasks_names(kind: type[GradientMethod], bad: list[int], named: str) -> None:
    health = Health([3, 5], TASKS, ["critic"], torch.device("cpu"))
    gradients = torch.eye(3)
    gradients[bad] = float("inf")
    with pytest.raises(NonFiniteGradient, match=f"^critic of seed 5: {named}"), health.naming("critic", 1):
        kind(3).step_from_task_gradients(TaskGradients([gradients], 3))


def test_the_flag_of_a_gpu_stops_every_later_write() -> None:
    """The same code as on a GPU, where nothing looks at the flag before :meth:`check`."""
    health = Health([3, 5], ["reach", "push"], ["critic"], torch.device("cpu"))
    health.device = torch.device("meta")  # not a CPU: do not look
    parameter = torch.ones(2, 4, requires_grad=True)
    optimizer = adam([parameter], 0.1, torch.device("cpu"))
    for losses, moves in ((torch.ones(2, 2), True), (torch.tensor([[1.0, 1.0], [1.0, float("inf")]]), False)):
        before = parameter.detach().clone()
        health.note_losses("critic", losses)
        parameter.grad = torch.ones_like(parameter)
        health.guard(optimizer)
        optimizer.step()
        assert torch.equal(before, parameter) != moves
    health.note_losses("critic", torch.full((2, 2), float("nan")))  # what follows from the first is not reported
    parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert torch.equal(before, parameter)
    assert float(health.running) == 0.0
    with pytest.raises(NonFiniteLoss, match="the critic loss is not finite for seed 5 task push; nothing of it"):
        health.check()
