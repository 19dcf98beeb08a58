"""The six architectures: sizes, what they compute against one sample at a time, which methods they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from experiments.common.errors import UserError
from experiments.mt10.agents import AGENTS, Sizes, check_agent, check_method, make_architecture
from experiments.mt10.learner import Learner
from experiments.mt10.networks import Evaluation, count, initial_parameters, is_task_specific
from methods import METHODS, get_method
from tests.mt10.learners import ACTIONS, N_TASKS, OBSERVATIONS, TASKS

SIZES = Sizes(N_TASKS, OBSERVATIONS, ACTIONS, width=16, encoding_size=8, experts=2, tasks=TASKS)
SAMPLES = 4


def evaluation_of(agent: str, sizes: Sizes = SIZES) -> tuple[Any, Evaluation]:
    """An architecture and its parameters, two seeds, biases not zero."""
    architecture = make_architecture(agent, sizes)
    generators = [torch.Generator().manual_seed(s) for s in range(2)]
    parameters = initial_parameters(architecture.layers, sizes.n_tasks, generators, torch.device("cpu"))
    for name, value in parameters.items():
        if name.endswith(".bias"):
            value.normal_(generator=generators[0])
    return architecture, Evaluation(architecture.layers, parameters)


def outputs(agent: str) -> tuple[Tensor, Tensor, Tensor, Tensor, Evaluation]:
    """Observations [S, K, B, O], actions [S, K, B, A], policy [S, K, B, 2A], values [S, 2, K, B]."""
    architecture, evaluation = evaluation_of(agent)
    generator = torch.Generator().manual_seed(9)
    observations = torch.randn(2, N_TASKS, SAMPLES, OBSERVATIONS, generator=generator)
    actions = torch.rand(2, N_TASKS, SAMPLES, ACTIONS, generator=generator)
    encoded = architecture.encode(evaluation, observations.unsqueeze(1))
    policy = architecture.policy(evaluation, encoded)[:, 0]
    values = architecture.values(evaluation, encoded, actions.unsqueeze(1))[..., 0]
    return observations, actions, policy, values, evaluation


# --- sizes ---

PUBLISHED_COUNTS = {  # of mtrl's agents with 12 observations, ten tasks
    "stl_sac": {"actor": 1_688_080, "critic": 3_352_020},
    "mtl_sac": {"actor": 329_208, "critic": 656_002},
    "mtl_sac_te": {"actor": 349_208, "critic": 696_002, "task_encoder": 8_150},
    "mh_sac": {"actor": 2_122_480, "critic": 4_192_020},
    "soft_modularization": {"actor": 121_248, "critic": 225_540, "encoder": 5_750, "task_encoder": 8_150},
    "care": {"actor": 364_408, "critic": 726_402, "encoder": 12_800 + 5_304, "task_encoder": 89_600},
}


@pytest.mark.parametrize("agent", AGENTS)
def test_parameter_counts(agent: str) -> None:
    learner = Learner(
        agent,
        n_tasks=10,
        observation_size=12,
        action_size=4,
        seeds=[0],
        make_method=lambda seed: get_method("ls", 10),
    )
    assert learner.parameter_counts() == PUBLISHED_COUNTS[agent]


@pytest.mark.parametrize(
    ("agent", "actor", "critic"), [("stl_sac", 1_796_080, 3_568_020), ("mtl_sac", 340_008, 677_602)]
)
def test_parameter_counts_with_all_observations(agent: str, actor: int, critic: int) -> None:
    _, evaluation = evaluation_of(agent, Sizes(10, 39, 4))
    assert count(evaluation.parameters, "actor.") == actor
    assert count(evaluation.parameters, "critic.") == critic


@pytest.mark.parametrize(
    ("agent", "shared"),
    [
        ("stl_sac", {"actor": 0, "critic": 0}),
        ("mtl_sac", {"actor": 329_208, "critic": 656_002}),
        ("mtl_sac_te", {"actor": 349_208, "critic": 696_002, "task_encoder": 7_650}),
        ("mh_sac", {"actor": 486_400, "critic": 976_000}),
        ("soft_modularization", {"actor": 121_248, "critic": 225_540, "encoder": 5_750, "task_encoder": 7_650}),
        ("care", PUBLISHED_COUNTS["care"]),
    ],
)
def test_what_is_shared(agent: str, shared: dict[str, int]) -> None:
    architecture, evaluation = evaluation_of(agent, Sizes(10, 12, 4))
    parameters = {
        name: value
        for name, value in evaluation.parameters.items()
        if not is_task_specific(architecture.layers, name)
    }
    assert {part: count(parameters, f"{part}.") for part in shared} == shared


def test_weights_are_xavier_uniform_and_biases_zero() -> None:
    architecture = make_architecture("mh_sac", Sizes(10, 12, 4))
    parameters = initial_parameters(architecture.layers, 10, [torch.Generator().manual_seed(0)], torch.device("cpu"))
    weight = parameters["actor.head.0.weight"]
    bound = (6 / 800) ** 0.5
    assert 0.999 * bound < float(weight.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / 3**0.5, rel=1e-2)
    assert not parameters["actor.head.0.bias"].any()


# --- what they compute ---


def weight_bias(evaluation: Evaluation, name: str, *index: int) -> tuple[Tensor, Tensor]:
    """A layer's matrix [out, in] and bias [out] for a seed, a copy and, where they have them, a task."""
    weight, bias = evaluation.parameters[f"{name}.weight"], evaluation.parameters[f"{name}.bias"]
    return weight[index].T, bias[index]


def mlp(evaluation: Evaluation, name: str, x: Tensor, *index: int, last_relu: bool = False) -> Tensor:
    depth = sum(1 for layer in evaluation.layers if layer.rpartition(".")[0] == name and layer[-1].isdigit())
    for i in range(depth):
        x = linear(x, *weight_bias(evaluation, f"{name}.{i}", *index))
        x = x.relu() if i < depth - 1 or last_relu else x
    return x


def task_encoding(evaluation: Evaluation, s: int, k: int) -> Tensor:
    embedding = evaluation.parameters["task_encoder.embedding.table"][s, 0, k]
    return mlp(evaluation, "task_encoder", embedding.relu(), s, 0)


def modular(evaluation: Evaluation, part: str, features: Tensor, task: Tensor, s: int, c: int) -> Tensor:
    experts = SIZES.experts
    routing = mlp(evaluation, f"{part}.routing", features * task, s, c).view(experts, experts).softmax(dim=1)
    hidden = [
        linear(features, *weight_bias(evaluation, f"{part}.experts.0", s, c * experts + j)).relu()
        for j in range(experts)
    ]
    total = torch.zeros(())
    for i in range(experts):
        mixed = sum(routing[i, j] * hidden[j] for j in range(experts))
        total = total + linear(mixed, *weight_bias(evaluation, f"{part}.experts.1", s, c * experts + i))
    return total / experts


def care_state(evaluation: Evaluation, observation: Tensor, s: int, k: int) -> Tensor:
    architecture: Any = make_architecture("care", SIZES)
    task = mlp(evaluation, "task_encoder.pretrained", architecture.embeddings[k].relu(), s, 0, last_relu=True)
    task = mlp(evaluation, "task_encoder", task, s, 0)
    shares = mlp(evaluation, "encoder.attention", task, s, 0).softmax(dim=0)
    mixture = sum(shares[e] * mlp(evaluation, "encoder.experts", observation, s, e) for e in range(SIZES.experts))
    return torch.cat([mixture, task])


def one_sample(
    agent: str, evaluation: Evaluation, observation: Tensor, action: Tensor, s: int, k: int
) -> list[Tensor]:
    """The policy and both values of one sample, written without stacks."""
    if agent == "soft_modularization":
        features, task = mlp(evaluation, "encoder", observation, s, 0), task_encoding(evaluation, s, k)
        results = [modular(evaluation, "actor", features, task, s, 0)]
        for c in range(2):
            projected = linear(torch.cat([features, action]), *weight_bias(evaluation, "critic.projection", s, c))
            results.append(modular(evaluation, "critic", projected, task, s, c))
        return results
    state = observation
    if agent == "mtl_sac_te":
        state = torch.cat([observation, task_encoding(evaluation, s, k)])
    elif agent == "care":
        state = care_state(evaluation, observation, s, k)
    both = torch.cat([state, action])
    if agent == "mh_sac":
        results = []
        for part, x, c in (("actor", state, 0), ("critic", both, 0), ("critic", both, 1)):
            features = mlp(evaluation, f"{part}.trunk", x, s, c, last_relu=True)
            results.append(mlp(evaluation, f"{part}.head", features, s, c, k))
        return results
    own = (k,) if agent == "stl_sac" else ()
    return [
        mlp(evaluation, "actor", state, s, 0, *own),
        mlp(evaluation, "critic", both, s, 0, *own),
        mlp(evaluation, "critic", both, s, 1, *own),
    ]


@pytest.mark.parametrize("agent", AGENTS)
def test_equal_to_one_sample_at_a_time(agent: str) -> None:
    observations, actions, policy, values, evaluation = outputs(agent)
    assert policy.shape == (2, N_TASKS, SAMPLES, 2 * ACTIONS)
    assert values.shape == (2, 2, N_TASKS, SAMPLES)
    for s in range(2):
        for k in range(N_TASKS):
            for b in range(SAMPLES):
                expected = one_sample(agent, evaluation, observations[s, k, b], actions[s, k, b], s, k)
                assert torch.allclose(policy[s, k, b], expected[0], rtol=1e-4, atol=1e-5)
                assert torch.allclose(values[s, :, k, b], torch.cat(expected[1:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("agent", AGENTS)
def test_only_the_plain_agent_cannot_tell_tasks_apart(agent: str) -> None:
    architecture, evaluation = evaluation_of(agent)
    same = torch.ones(2, 1, N_TASKS, 1, OBSERVATIONS)
    policy = architecture.policy(evaluation, architecture.encode(evaluation, same))
    assert torch.allclose(policy[:, :, 0], policy[:, :, 1], atol=1e-5) == (agent == "mtl_sac")


# --- what goes with what ---


def test_an_unknown_agent() -> None:
    with pytest.raises(UserError, match=r"agent 'mtl_sca' is unknown. Did you mean 'mtl_sac'\?"):
        check_agent("mtl_sca", "ls")
    with pytest.raises(UserError, match="The agents are stl_sac, mtl_sac"):
        make_architecture("ppo", SIZES)


@pytest.mark.parametrize("method", ["mgda", "pcgrad", "graddrop", "cagrad", "imtl_g", "nash_mtl"])
def test_single_task_agents_have_nothing_to_combine(method: str) -> None:
    with pytest.raises(UserError, match=f"shares no parameters between tasks, so that method {method}"):
        check_agent("stl_sac", method)
    for agent in AGENTS[1:]:
        check_agent(agent, method)


@pytest.mark.parametrize("agent", AGENTS)
def test_methods_that_no_agent_takes(agent: str) -> None:
    with pytest.raises(UserError, match="agent=stl_sac with method=ls"):
        check_agent(agent, "stl")
    for key in ("si", "famo"):
        with pytest.raises(UserError, match=f"method {key} needs positive losses"):
            check_agent(agent, key)
    check_agent(agent, "ls")


@pytest.mark.parametrize("key", [key for key in METHODS if key not in ("stl", "si", "famo")])
def test_only_the_representations_gradients_are_out_of_reach(key: str) -> None:
    method = get_method(key, 3)
    if key == "imtl_g":
        with pytest.raises(UserError, match=r"method.gradients=shared"):
            check_method("mh_sac", method)
        method = get_method(key, 3, gradients="shared")
    check_method("mh_sac", method)


@pytest.mark.parametrize("key", ["mgda", "pcgrad", "cagrad", "nash_mtl"])
def test_no_agent_has_a_representation_for_a_method_that_can_take_one(key: str) -> None:
    with pytest.raises(UserError, match=rf"method {key} wants the gradients of a representation.*gradients=shared"):
        check_method("mh_sac", get_method(key, 3, gradients="representation"))
