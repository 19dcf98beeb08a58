"""Per-task gradients from one backward pass against K backward passes, for every agent, critics and actor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.mt10_update import largest_difference
from experiments.mt10.component import Component
from experiments.mt10.learner import Learner
from experiments.mt10.networks import Evaluation
from experiments.mt10.stacked_gradients import PerTaskLinear, StackedTaskGradients, probe, shared_linear
from tests.mt10.learners import ACTIONS, N_TASKS, SHARED_AGENTS, random_batch, small_learner

#: Of float32 products in another order, relative to the longest of a parameter's K gradients.
TOLERANCE = 1e-4


def component_inputs(learner: Learner, part: str, n_seeds: int, mixed: bool) -> tuple[Component, list[Tensor | None]]:
    weights = None
    if mixed:  # four samples of the first task, one of the second, none of the third
        weights = torch.tensor([[0.25, 0.25, 0.25, 0.25, 0], [1.0, 0, 0, 0, 0], [0.0] * 5]).expand(n_seeds, -1, -1)
    batch = random_batch(n_seeds, weights=weights)
    noise = torch.randn(n_seeds, N_TASKS, 5, ACTIONS, generator=torch.Generator().manual_seed(3))
    if part == "critic":
        return learner.critic, [*batch[:4], weights, noise]
    return learner.actor, [batch.observations, weights, noise]


def trained_a_little(agent: str, strategy: str) -> Learner:
    """Biases, targets and temperatures are not at their first values any more; the same for every strategy."""
    learner = small_learner(agent, "mgda", seeds=(0, 1), method_options={"task_gradients": strategy})
    reference = small_learner(agent, "ls", seeds=(0, 1))
    for step in range(3):
        reference.update(random_batch(2, seed=step))
    with torch.no_grad():
        for name, parameter in learner.parameters.items():
            parameter.copy_(reference.parameters[name])
        for name, target in learner.targets.items():
            target.copy_(reference.targets[name])
    return learner


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("part", ["critic", "actor"])
@pytest.mark.parametrize("agent", SHARED_AGENTS)
def test_equal_to_k_backward_passes(agent: str, part: str, mixed: bool) -> None:
    found = {}
    for strategy in ("auto", "loop", "batched"):
        component, inputs = component_inputs(trained_a_little(agent, strategy), part, 2, mixed)
        found[strategy] = dict(zip(component.shared_names, component.task_gradients(*inputs).per_tensor, strict=True))
    assert set(found["auto"]) == set(found["loop"])
    for name, expected in found["loop"].items():
        assert expected.any(), name
        for strategy in ("auto", "batched"):
            assert largest_difference([found[strategy][name]], [expected]) <= TOLERANCE, (name, strategy)


@pytest.mark.parametrize("agent", ["mtl_sac_te", "mh_sac"])
def test_heads_have_their_own_tasks_gradient(agent: str) -> None:
    """A head's gradient is that of its own task's loss; no other task reaches it."""
    learner = trained_a_little(agent, "auto")
    component, inputs = component_inputs(learner, "critic", 2, False)
    assert component.heads
    held = component._gradients_by_task(*inputs)
    for k in range(N_TASKS):
        losses, _ = component.losses(Evaluation(learner.layers, component.parameters), *inputs)
        for gradient, expected in zip(
            held.heads, torch.autograd.grad(losses[:, k].sum(), component.heads), strict=True
        ):
            assert torch.allclose(gradient[:, :, k], expected[:, :, k], rtol=1e-4, atol=1e-6)
            others = [j for j in range(N_TASKS) if j != k]
            assert not expected[:, :, others].any()


def test_per_task_linear_passes_a_numerical_check() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 1, 3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(2, 1, 5, 2, dtype=torch.float64, generator=generator)
    bias = torch.randn(2, 1, 2, dtype=torch.float64, generator=generator)
    weights = weight.unsqueeze(2).repeat(1, 1, 3, 1, 1).requires_grad_()
    biases = bias.unsqueeze(2).repeat(1, 1, 3, 1).requires_grad_()
    assert torch.equal(PerTaskLinear.apply(x, weights, biases), shared_linear(x, weight, bias))
    # Only the first task's weight is read; the gradient of task k's is that of its own rows, so that their sum is the
    # gradient of the shared weight.
    output = torch.randn(2, 1, 3, 4, 2, dtype=torch.float64, generator=generator)
    by_task = torch.autograd.grad(PerTaskLinear.apply(x, weights, biases), (x, weights, biases), output)
    weight.requires_grad_()
    bias.requires_grad_()
    whole = torch.autograd.grad(shared_linear(x, weight, bias), (x, weight, bias), output)
    assert torch.allclose(by_task[0], whole[0])
    assert torch.allclose(by_task[1].sum(dim=2), whole[1])
    assert torch.allclose(by_task[2].sum(dim=2), whole[2])
    assert torch.autograd.gradcheck(lambda x: shared_linear(x, weight.detach(), bias.detach()), (x,))


def test_a_probe_takes_no_memory() -> None:
    parameter = torch.randn(1, 2, 5, 4)
    assert probe(parameter, 10).untyped_storage().data_ptr() == parameter.untyped_storage().data_ptr()


class TestStacked:
    """Gramians and combinations of stacked gradients against ``methods.gradients`` seed by seed."""

    def stacked(self) -> StackedTaskGradients:
        generator = torch.Generator().manual_seed(5)
        shapes = [(2, 2, 4, 3, 7), (2, 2, 4, 7), (2, 1, 4, 20000)]
        return StackedTaskGradients([torch.randn(shape, generator=generator) for shape in shapes])

    def test_gramians(self) -> None:
        stacked = self.stacked()
        for s, gramian in enumerate(stacked.gramians()):
            expected = stacked.of_seed(s).gramian()
            assert gramian.dtype == torch.float64
            assert torch.allclose(gramian, expected, rtol=1e-12)

    def test_combination(self) -> None:
        stacked = self.stacked()
        weights = torch.tensor([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, 0.0, 0.25]])
        per_seed = [stacked.of_seed(s).combine(weights[s]) for s in range(2)]
        for own, expected in zip(stacked.combine(weights), stacked.restacked(per_seed), strict=True):
            assert torch.allclose(own, expected, atol=1e-5)
