"""The update against soft actor-critic written the usual way, what trains what, resuming, and seeds side by side."""

from __future__ import annotations

import io
from typing import Any

import pytest
import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.mt10.agents import AGENTS
from experiments.mt10.learner import Learner
from experiments.mt10.sac import sample_actions
from tests.mt10.learners import ACTIONS, N_TASKS, OBSERVATIONS, random_batch, small_learner, updated
from tests.mt10.reference_sac import ReferenceSAC, mlp

METHOD_CHOICES = ("ls", "uw", "rlw", "dwa", "mgda", "pcgrad", "graddrop", "cagrad", "nash_mtl")


def recorded_noise(learner: Learner) -> list[Tensor]:
    """The noise that the learner draws from now on, in a list that it fills."""
    drawn: list[Tensor] = []
    draw = learner._noise

    def recording(shape: tuple[int, ...]) -> Tensor:
        drawn.append(draw(shape))
        return drawn[-1]

    learner._noise = recording  # type: ignore[method-assign]
    return drawn


def largest_difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    return max(float((first[name] - second[name]).detach().abs().max()) for name in first)


def seed_of(state: dict[str, Tensor], index: int) -> dict[str, Tensor]:
    return {name: value[index : index + 1].detach() for name, value in state.items()}


# --- the update ---


@pytest.mark.parametrize(
    ("temperature", "target_entropy"), [("shared", -1.0), ("per_task", -1.0), ("per_task", -0.25)]
)
def test_equal_to_the_usual_way(temperature: str, target_entropy: float) -> None:
    learner = small_learner(temperature=temperature, target_entropy=target_entropy)
    reference = ReferenceSAC(learner, shared_temperature=temperature == "shared")
    noise = recorded_noise(learner)
    for step in range(5):
        batch = random_batch(seed=step)
        result = learner.update(batch)
        critic_losses, actor_losses = reference.update(batch, *noise[-2:])
        assert result["critic_loss"][0].tolist() == pytest.approx(critic_losses, rel=1e-4)
        assert result["actor_loss"][0].tolist() == pytest.approx(actor_losses, rel=1e-4)
    for part, copy_index, module in (
        ("actor", 0, reference.actor),
        ("critic", 0, reference.critics[0]),
        ("critic", 1, reference.critics[1]),
    ):
        for own, expected in zip(mlp(learner, part, copy_index).parameters(), module.parameters(), strict=True):
            assert torch.allclose(own.double(), expected, atol=2e-6)
    for copy_index, target in enumerate(reference.targets):
        for depth, layer in enumerate(layer for layer in target if isinstance(layer, torch.nn.Linear)):
            assert torch.allclose(
                learner.targets[f"critic.{depth}.weight"][0, copy_index].T.double(), layer.weight, atol=2e-6
            )
    expected = torch.stack([reference.temperature(k) for k in range(N_TASKS)])
    assert torch.allclose(learner.temperature.values().expand(1, N_TASKS)[0].double(), expected, atol=2e-6)


def test_log_probability_is_that_of_the_squashed_gaussian() -> None:
    policy = torch.randn(1, 1, 2, 3, 2 * ACTIONS, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(1, 1, 2, 3, ACTIONS, generator=torch.Generator().manual_seed(1))
    actions, log_probabilities = sample_actions(policy.double(), noise.double())
    mean, raw = policy.double().chunk(2, dim=-1)
    base = torch.distributions.Normal(mean, (-20 + 11 * (raw.tanh() + 1)).exp())
    expected = torch.distributions.TransformedDistribution(base, torch.distributions.TanhTransform(cache_size=1))
    value = expected.transforms[0](mean + base.scale * noise.double())
    assert torch.allclose(actions, value)
    # mtrl adds 1e-6 under the logarithm of 1 - action².
    exact = expected.log_prob(value).sum(dim=-1, keepdim=True)
    assert torch.allclose(log_probabilities, exact, atol=1e-3)


@pytest.mark.parametrize("agent", AGENTS)
def test_every_parameter_is_trained_and_only_targets_follow(agent: str) -> None:
    learner = small_learner(agent)
    before = {name: value.detach().clone() for name, value in learner.parameters.items()}
    targets = {name: value.clone() for name, value in learner.targets.items()}
    updated(learner, 2)
    assert [name for name, value in learner.parameters.items() if torch.equal(value, before[name])] == []
    assert [name for name, value in learner.targets.items() if torch.equal(value, targets[name])] == []
    assert {name.partition(".")[0] for name in targets} <= {"critic", "encoder"}


@pytest.mark.parametrize("agent", ["mtl_sac_te", "soft_modularization", "care"])
def test_encoders_are_trained_by_the_critics_alone(agent: str) -> None:
    learner = small_learner(agent)
    assert all(name.startswith("actor.") for name in learner.actor.parameters)
    assert {name.partition(".")[0] for name in learner.critic.parameters} >= {"critic", "task_encoder"}


def test_encoders_targets_follow_ten_times_faster() -> None:
    learner = small_learner("care")
    targets = {name: value.clone() for name, value in learner.targets.items()}
    updated(learner, 1)
    for name, value in learner.targets.items():
        rate = 0.05 if name.startswith("encoder.") else 0.005
        expected = targets[name].lerp(learner.parameters[name].detach(), rate)
        assert torch.allclose(value, expected, atol=1e-7), name


def test_tasks_of_single_task_agents_never_meet() -> None:
    """Other transitions of the second task change nothing for the others, bit by bit."""
    results = []
    for factor in (1.0, 3.0):
        learner = small_learner("stl_sac")
        for step in range(3):
            batch = random_batch(seed=step)
            batch.rewards[:, 1] *= factor
            learner.update(batch)
        results.append(learner.parameters)
    for name, value in results[0].items():
        assert torch.equal(value[:, :, [0, 2]], results[1][name][:, :, [0, 2]])
        assert not torch.equal(value[:, :, 1], results[1][name][:, :, 1])


# --- acting ---


@pytest.mark.parametrize("agent", AGENTS)
def test_actions(agent: str) -> None:
    learner = updated(small_learner(agent, seeds=(0, 1)), 2, n_seeds=2)
    observations = torch.randn(2, N_TASKS, OBSERVATIONS)
    mean = learner.act(observations, deterministic=True)
    assert mean.shape == (2, N_TASKS, ACTIONS)
    assert not mean.requires_grad
    assert (mean.abs() <= 1).all()
    assert torch.equal(mean, learner.act(observations, deterministic=True))
    state = learner.generators[0].get_state()
    first, second = (learner.act(observations, deterministic=False) for _ in range(2))
    assert not torch.equal(first, second)
    learner.generators[0].set_state(state)
    again = learner.act(observations, deterministic=False)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[1], again[1])


def test_actions_of_a_batch_and_of_one_observation_agree() -> None:
    learner = updated(small_learner("soft_modularization"), 2)
    observations = torch.randn(1, N_TASKS, 5, OBSERVATIONS)
    encoded = learner.architecture.encode(learner._frozen, observations.unsqueeze(1))
    whole = learner.architecture.policy(learner._frozen, encoded)[:, 0].chunk(2, dim=-1)[0].tanh()
    for b in range(5):
        assert torch.allclose(whole[:, :, b], learner.act(observations[:, :, b], deterministic=True), atol=1e-6)


# --- seeds ---


@pytest.mark.parametrize("method", METHOD_CHOICES)
def test_seeds_do_not_depend_on_their_neighbours(method: str) -> None:
    """Seed 5 alone and beside two others: within 1e-5 after three updates (batched products round otherwise)."""
    together = updated(small_learner("mtl_sac_te", method, seeds=(3, 4, 5)), 3, n_seeds=3)
    alone = small_learner("mtl_sac_te", method, seeds=(5,))
    for step in range(3):
        batch = random_batch(3, seed=step)
        alone.update(batch._replace(**{field: getattr(batch, field)[2:] for field in batch._fields[:4]}))
    assert largest_difference(seed_of(together.parameters, 2), seed_of(alone.parameters, 0)) < 1e-5
    assert largest_difference(seed_of(together.targets, 2), seed_of(alone.targets, 0)) < 1e-5
    observations = torch.ones(3, N_TASKS, OBSERVATIONS)
    actions = together.act(observations, deterministic=False)[2:]
    assert torch.allclose(actions, alone.act(observations[:1], deterministic=False), atol=1e-5)


@pytest.mark.parametrize("agent", AGENTS)
def test_same_seed_same_numbers(agent: str) -> None:
    first, second = (updated(small_learner(agent)) for _ in range(2))
    assert all(torch.equal(first.parameters[name], second.parameters[name]) for name in first.parameters)
    other = updated(small_learner(agent, seeds=(1,)))
    assert largest_difference(first.parameters, other.parameters) > 0.1


# --- resuming ---


@pytest.mark.parametrize("method", METHOD_CHOICES)
def test_a_restored_learner_goes_on_exactly(method: str) -> None:
    options: dict[str, Any] = {"update_weights_every": 3} if method == "nash_mtl" else {}
    options |= {"window": 1} if method == "dwa" else {}
    learner = updated(small_learner("mh_sac", method, seeds=(0, 7), method_options=options), 2, n_seeds=2)
    file = io.BytesIO()
    state = learner.state_dict()
    torch.save(state, file)
    file.seek(0)
    updated(learner, 2, n_seeds=2)  # must not reach into the state
    restored = small_learner("mh_sac", method, seeds=(0, 7), method_options=options)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.updates == 2
    updated(restored, 2, n_seeds=2)
    unsaved = small_learner("mh_sac", method, seeds=(0, 7), method_options=options)
    unsaved.load_state_dict(state)
    updated(unsaved, 2, n_seeds=2)
    for name, value in learner.parameters.items():
        assert torch.equal(value, restored.parameters[name]), name
        assert torch.equal(value, unsaved.parameters[name]), name
    assert torch.equal(learner.temperature.values(), restored.temperature.values())


def test_a_state_of_another_network_is_refused() -> None:
    state = small_learner(width=8).state_dict()
    with pytest.raises(ValueError, match="differ from this run's"):
        small_learner().load_state_dict(state)


# --- options ---


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sampling", "uniform"),
        ("capture", "jit"),
        ("temperature", "none"),
        ("width", 0),
        ("lr", 0.0),
        ("gamma", 1.5),
        ("check_every", 0),
        ("initial_temperature", float("nan")),
        ("target_entropy", float("nan")),
    ],
)
def test_bad_options_are_named(option: str, value: object) -> None:
    with pytest.raises(UserError, match=f"^{option} is"):
        small_learner(**{option: value})


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(UserError, match="sampling=balanced"):
        small_learner(capture="graph", sampling="mixed")
    with pytest.raises(UserError, match="temperature_in_aggregation=false"):
        small_learner(capture="graph", temperature_in_aggregation=True)
