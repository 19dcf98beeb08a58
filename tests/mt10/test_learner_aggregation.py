"""Aggregation in the learner: what is written is what the method's own ``backward`` would write."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.mt10.component import Component
from experiments.mt10.learner import Learner, shares_temperature
from experiments.mt10.networks import Evaluation
from methods import METHODS, CAGrad, Method, NashMTL, PCGrad, get_method
from tests.mt10.learners import ACTIONS, N_TASKS, own_seed, random_batch, small_learner

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ls": ("ls", {"task_weights": [0.5, 2.0, 1.0]}),
    "uw": ("uw", {}),
    "rlw": ("rlw", {}),
    "dwa": ("dwa", {"window": 1}),
    "mgda": ("mgda", {}),
    "pcgrad": ("pcgrad", {}),
    "cagrad": ("cagrad", {"c": 0.9}),
    "imtl_g": ("imtl_g", {"gradients": "shared"}),
    "nash_mtl": ("nash_mtl", {}),
    "nash_mtl, unclipped": ("nash_mtl", {"max_norm": 0.0}),
    "nash_mtl, every 2": ("nash_mtl", {"update_weights_every": 2}),
    "nash_mtl, every 2, plain heads": ("nash_mtl", {"update_weights_every": 2, "weight_heads": False}),
    "nash_mtl, K passes": ("nash_mtl", {"task_gradients": "loop"}),
    "aligned_mtl": ("aligned_mtl", {}),
    "aligned_mtl, weighted heads": ("aligned_mtl", {"scale_mode": "rmse", "weight_heads": True}),
    "fairgrad": ("fairgrad", {}),
    "fairgrad, weighted heads": ("fairgrad", {"alpha": 0.5, "weight_heads": True, "max_norm": 0.0}),
}


def written_by(component: Component, *inputs: Any) -> tuple[list[torch.Tensor], Any]:
    """The gradients that a step hands to the optimisers, which stand still: parameters', then the method's own."""
    taken: list[torch.Tensor] = []

    def note() -> None:
        taken.extend(p.grad.clone() for p in [*component.shared, *component.heads])  # type: ignore[union-attr]

    def note_own() -> None:
        taken.extend(p.grad.clone() for method in component.methods for p in method.parameters())  # type: ignore[union-attr]

    component.optimizer.step = note  # type: ignore[method-assign, assignment]
    if component.method_optimizer is not None:
        component.method_optimizer.step = note_own  # type: ignore[method-assign, assignment]
    outcome = component.step(*inputs)
    return taken, outcome


@pytest.mark.parametrize("part", ["critic", "actor"])
@pytest.mark.parametrize("variant", list(VARIANTS))
def test_written_is_what_backward_writes(variant: str, part: str) -> None:
    key, options = VARIANTS[variant]
    learner = small_learner("mh_sac", key, seeds=(4,), method_options=options)
    component = learner.critic if part == "critic" else learner.actor
    method = get_method(key, N_TASKS, **options, **own_seed(key, 4))
    for step in range(3):
        batch = random_batch(seed=step)
        noise = torch.randn(1, N_TASKS, 5, ACTIONS, generator=torch.Generator().manual_seed(step))
        inputs = [*batch[:4], None, noise] if part == "critic" else [batch.observations, None, noise]
        losses, _ = component.losses(Evaluation(learner.layers, component.parameters), *inputs)
        expected = method.backward(
            list(losses[0]), shared_parameters=component.shared, task_specific_parameters=component.heads
        )
        trained = [*component.shared, *component.heads, *method.parameters()]
        expected_gradients = [p.grad.clone() for p in trained]
        written, outcome = written_by(component, *inputs)
        assert torch.allclose(outcome.losses[0], losses[0].detach())
        assert outcome.steps[0].weights == pytest.approx(expected.weights, rel=1e-3)
        for own, other in zip(written, expected_gradients, strict=True):
            assert torch.allclose(own, other, rtol=1e-3, atol=1e-4 * float(other.abs().max())), variant


@pytest.mark.parametrize("max_norm", [0.0, 1.0])
def test_graddrop_keeps_entries_of_one_sign(max_norm: float) -> None:
    learner = small_learner("mtl_sac", "graddrop", method_options={"max_norm": max_norm})
    batch = random_batch()
    noise = torch.zeros(1, N_TASKS, 5, ACTIONS)
    gradients = learner.critic.task_gradients(*batch[:4], None, noise).per_tensor
    written, _ = written_by(learner.critic, *batch[:4], None, noise)
    if max_norm:
        assert float(torch.cat([w.flatten() for w in written]).norm()) == pytest.approx(1.0, rel=1e-5)
        return
    for own, by_task in zip(written, gradients, strict=True):
        positive, negative = by_task.clamp(min=0).sum(dim=2), by_task.clamp(max=0).sum(dim=2)
        assert (torch.isclose(own, positive, rtol=1e-4) | torch.isclose(own, negative, rtol=1e-4)).all()


def test_critics_and_actor_have_methods_of_their_own_for_every_seed() -> None:
    made: list[tuple[int, Method]] = []

    def make_method(seed: int) -> Method:
        made.append((seed, NashMTL(N_TASKS, update_weights_every=2)))
        return made[-1][1]

    learner = Learner(
        "mtl_sac", n_tasks=N_TASKS, observation_size=6, action_size=ACTIONS, seeds=(8, 9), make_method=make_method
    )
    assert sorted(seed for seed, _ in made) == [8, 8, 9, 9]
    assert len({id(method) for method in [*learner.critic.methods, *learner.actor.methods]}) == 4
    result = learner.update(random_batch(2))
    weights = [step.weights for step in [*result["critic_steps"], *result["actor_steps"]]]
    for i, own in enumerate(weights):
        assert all(not torch.equal(own, other) for other in weights[:i])
    again = learner.update(random_batch(2, seed=1))
    for step, before in zip([*again["critic_steps"], *again["actor_steps"]], weights, strict=True):
        assert step.diagnostics["status"] == "reused"
        assert torch.equal(step.weights, before)


def test_diagnostics_of_every_solve() -> None:
    result = small_learner(method="nash_mtl", seeds=(0, 1)).update(random_batch(2))
    for step in [*result["critic_steps"], *result["actor_steps"]]:
        assert step.diagnostics["residual"] < 1e-6
        assert step.diagnostics["gramian"].shape == (N_TASKS, N_TASKS)
    assert result["temperature"].shape == (2, N_TASKS)


# --- temperature ---


@pytest.mark.parametrize("key", [key for key in METHODS if key != "stl"])
def test_temperatures_are_shared_as_in_the_published_rows(key: str) -> None:
    method = get_method(key, N_TASKS)
    assert shares_temperature("auto", method) == isinstance(method, PCGrad | CAGrad | NashMTL)
    assert shares_temperature("shared", method)
    assert not shares_temperature("per_task", method)


@pytest.mark.parametrize("aggregated", [False, True])
@pytest.mark.parametrize("temperature", ["shared", "per_task"])
def test_a_task_absent_from_a_mixed_batch_has_no_say_in_the_temperature(temperature: str, aggregated: bool) -> None:
    """Seed 4's batch lacks task 1; both temperatures' gradients against those by hand."""
    learner = small_learner(seeds=(4, 5), temperature=temperature, temperature_in_aggregation=aggregated)
    weights = torch.full((2, N_TASKS, 5), 0.2)
    weights[0, 1] = 0.0
    taken: list[torch.Tensor] = []
    optimizer = learner.temperature.optimizer
    optimizer.step = lambda: taken.append(learner.temperature.log_values.grad)  # type: ignore[assignment, arg-type]
    noted: list[torch.Tensor] = []
    step = learner.temperature.step

    def noting(log_probabilities: torch.Tensor, *rest: torch.Tensor) -> None:
        noted.append(log_probabilities)
        step(log_probabilities, *rest)

    learner.temperature.step = noting  # type: ignore[method-assign]
    learner.update(random_batch(2, weights=weights))
    gaps = ACTIONS - noted[0]  # the temperature is one
    assert float(noted[0][0, 1]) == 0.0 and bool((gaps.abs() > 0.01).all())
    gaps[0, 1] = 0.0
    if temperature == "shared":
        present = torch.tensor([[1.0 if aggregated else 2.0], [1.0 if aggregated else 3.0]])  # ls sums its losses
        gaps = gaps.sum(dim=1, keepdim=True) / present
    assert torch.allclose(taken[0], gaps, atol=1e-6)


@pytest.mark.parametrize("temperature", ["shared", "per_task"])
@pytest.mark.parametrize("key", ["ls", "pcgrad", "cagrad", "nash_mtl", "graddrop"])
def test_temperature_in_the_aggregation(key: str, temperature: str) -> None:
    """Its gradient is what the method makes of the K gradients of log α."""
    learner = small_learner(method=key, seeds=(4,), temperature=temperature, temperature_in_aggregation=True)
    log_probabilities = torch.tensor([[3.0, 1.0, 7.0]])
    own = learner.temperature.log_values.detach()[0].clone().requires_grad_()
    losses = own.exp().expand(N_TASKS) * (-log_probabilities[0] + ACTIONS)
    get_method(key, N_TASKS, **own_seed(key, 4)).backward(
        list(losses), shared_parameters=[own], task_specific_parameters=[]
    )
    taken: list[torch.Tensor] = []
    optimizer = learner.temperature.optimizer
    optimizer.step = lambda: taken.append(learner.temperature.log_values.grad)  # type: ignore[assignment, arg-type]
    learner.temperature.step(log_probabilities)
    assert own.grad is not None
    assert torch.allclose(taken[0][0], own.grad, rtol=1e-5, atol=1e-7)
    assert learner.temperature.methods is not None
    assert learner.temperature.methods[0] not in [*learner.critic.methods, *learner.actor.methods]
