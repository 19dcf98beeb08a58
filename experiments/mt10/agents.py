"""The agents of the paper's MT10 table as architectures: what is shared between tasks, and what is each task's own.

Sources: mtrl (Sodhani et al., ICML 2021), whose agents the paper's rows are. Parameter counts are those of ten tasks,
four actions and 12 (39) observations. Everything is shared unless it says otherwise.

* ``stl_sac``: one SAC agent a task. Nothing is shared: ten actors and ten pairs of critics with two hidden layers
  (mtrl's stacked layers count the output layer): actors 1,688,080 (1,796,080), critics 3,352,020 (3,568,020).
* ``mtl_sac``: one actor and one pair of critics for all, which are not told the task: 329,208 (340,008) and
  656,002 (677,602).
* ``mtl_sac_te``: the same with a learned task encoding of 50 beside the observation: 349,208, 696,002, and 8,150 for
  the task encoder, of which the 500 of the embedding are task-specific. The critics' losses train the encoder.
* ``mh_sac``: a shared trunk and a task-specific head of two layers for each task: actor 2,122,480 (486,400 shared),
  critics 4,192,020 (976,000 shared).
* ``soft_modularization``, ``care``: see their files.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import Self

from experiments.common.errors import UserError
from experiments.mt10.networks import Embedding, Evaluation, Layers, stack_layers
from methods import METHODS, GradientMethod, Method

AGENTS = ("stl_sac", "mtl_sac", "mtl_sac_te", "mh_sac", "soft_modularization", "care")


@dataclass(frozen=True)
class Sizes:
    """What fixes the layers' sizes. ``layers``: hidden layers of actor and critics; ``width``: their units.

    ``tasks``: their names, which CARE reads; ``None`` for the ten of MT10.
    """

    n_tasks: int
    observation_size: int
    action_size: int
    width: int = 400
    layers: int = 3
    stl_layers: int = 2
    encoding_size: int = 50
    experts: int = 4
    tasks: tuple[str, ...] | None = None
    task_embedding_file: str | None = None


class Encoded(NamedTuple):
    """``state`` [S, 1, K, B, F]: what actor and critics see; ``task`` [S, 1, K, 1, E] where there is an encoder."""

    state: Tensor
    task: Tensor | None


class Architecture(ABC):
    """Layers, and how they make an encoding, a policy and two values of a batch.

    Layer names begin with the part they belong to: ``actor``, ``critic``, ``encoder`` (of observations) or
    ``task_encoder``. The critics' losses train all parts but the actor.
    """

    layers: Layers

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes

    def to(self, device: torch.device) -> Self:
        """Move the tensors that are not trained, if there are any."""
        return self

    def encode(self, evaluation: Evaluation, observations: Tensor) -> Encoded:
        """From observations [S, 1, K, B, O]."""
        return Encoded(observations, None)

    @abstractmethod
    def policy(self, evaluation: Evaluation, encoded: Encoded) -> Tensor:
        """Means and unbounded log-deviations of the actions, [S, 1, K, B, 2A]."""

    @abstractmethod
    def values(self, evaluation: Evaluation, encoded: Encoded, actions: Tensor) -> Tensor:
        """Two values [S, 2, K, B, 1] of actions [S, 1, K, B, A]."""


class SharedMLP(Architecture):
    """``mtl_sac``: plain networks of all tasks."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.layers = plain_layers(sizes, sizes.observation_size)

    def policy(self, evaluation: Evaluation, encoded: Encoded) -> Tensor:
        return evaluation.mlp("actor", encoded.state)

    def values(self, evaluation: Evaluation, encoded: Encoded, actions: Tensor) -> Tensor:
        return evaluation.mlp("critic", torch.cat([encoded.state, actions], dim=-1))


class SingleTask(SharedMLP):
    """``stl_sac``: networks of each task's own."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        hidden = [sizes.width] * sizes.stl_layers
        inputs, actions = sizes.observation_size, sizes.action_size
        self.layers = stack_layers("actor", [inputs, *hidden, 2 * actions], task_specific=True)
        self.layers |= stack_layers("critic", [inputs + actions, *hidden, 1], copies=2, task_specific=True)


class TaskEncoded(SharedMLP):
    """``mtl_sac_te``: a task encoding beside the observation."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.layers = plain_layers(sizes, sizes.observation_size + sizes.encoding_size)
        self.layers |= task_encoder_layers(sizes.encoding_size)

    def encode(self, evaluation: Evaluation, observations: Tensor) -> Encoded:
        task = learned_task_encoding(evaluation)
        return Encoded(beside(observations, task), task)


class MultiHead(Architecture):
    """``mh_sac``: a shared trunk with one more layer than the plain networks, and heads of two layers.

    mtrl evaluates all ten heads on every sample and masks nine; here a head sees its own task's samples, which gives
    the same numbers.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        trunk = [sizes.width] * (sizes.layers + 1)
        inputs, actions = sizes.observation_size, sizes.action_size
        self.layers = stack_layers("actor.trunk", [inputs, *trunk])
        self.layers |= stack_layers("actor.head", [sizes.width, sizes.width, 2 * actions], task_specific=True)
        self.layers |= stack_layers("critic.trunk", [inputs + actions, *trunk], copies=2)
        self.layers |= stack_layers("critic.head", [sizes.width, sizes.width, 1], copies=2, task_specific=True)

    def policy(self, evaluation: Evaluation, encoded: Encoded) -> Tensor:
        return evaluation.mlp("actor.head", evaluation.mlp("actor.trunk", encoded.state, last_relu=True))

    def values(self, evaluation: Evaluation, encoded: Encoded, actions: Tensor) -> Tensor:
        features = evaluation.mlp("critic.trunk", torch.cat([encoded.state, actions], dim=-1), last_relu=True)
        return evaluation.mlp("critic.head", features)


def plain_layers(sizes: Sizes, inputs: int) -> Layers:
    """An actor and two critics of ``sizes.layers`` hidden layers on ``inputs`` features."""
    hidden = [sizes.width] * sizes.layers
    layers = stack_layers("actor", [inputs, *hidden, 2 * sizes.action_size])
    return layers | stack_layers("critic", [inputs + sizes.action_size, *hidden, 1], copies=2)


def task_encoder_layers(size: int) -> Layers:
    """mtrl's task encoder: an embedding, ReLU, and three linear layers with two ReLUs between."""
    return {"task_encoder.embedding": Embedding(size), **stack_layers("task_encoder", [size] * 4)}


def learned_task_encoding(evaluation: Evaluation) -> Tensor:
    """The encoding of each task, [S, 1, K, 1, E], from :func:`task_encoder_layers`."""
    return evaluation.mlp("task_encoder", torch.relu(evaluation.table("task_encoder.embedding")))


def beside(features: Tensor, task: Tensor) -> Tensor:
    """``features`` [S, 1, K, B, F] and the task's encoding [S, 1, K, 1, E] on the last dimension."""
    return torch.cat([features, task.expand(*features.shape[:4], -1)], dim=-1)


def make_architecture(agent: str, sizes: Sizes) -> Architecture:
    """The architecture with this name; raises :class:`UserError` for an unknown one."""
    from experiments.mt10.care import CARE
    from experiments.mt10.soft_modularization import SoftModularization

    check_agent_name(agent)
    kinds: dict[str, type[Architecture]] = {
        "stl_sac": SingleTask,
        "mtl_sac": SharedMLP,
        "mtl_sac_te": TaskEncoded,
        "mh_sac": MultiHead,
        "soft_modularization": SoftModularization,
        "care": CARE,
    }
    return kinds[agent](sizes)


def check_agent_name(agent: str) -> None:
    if agent not in AGENTS:
        close = difflib.get_close_matches(agent, AGENTS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UserError(f"agent {agent!r} is unknown.{hint} The agents are {', '.join(AGENTS)}.")


def check_agent(agent: str, method: str) -> None:
    """Raise :class:`UserError` for an unknown agent, or a method (by its key) that it cannot be trained with."""
    check_agent_name(agent)
    if method == "stl":
        raise UserError(
            "method stl trains one task of a shared network; for MT10 it is agent=stl_sac with method=ls."
        )
    if method in ("si", "famo"):
        raise UserError(
            f"method {method} needs positive losses, and an actor's can be negative; choose another method."
        )
    kind = METHODS.get(method)
    if agent == "stl_sac" and kind is not None and issubclass(kind, GradientMethod):
        raise UserError(
            f"agent stl_sac shares no parameters between tasks, so that method {method} has nothing to combine; "
            "use method=ls, or a shared agent such as agent=mtl_sac."
        )


def check_method(agent: str, method: Method) -> None:
    """The same for a method at hand, whose options count: raises :class:`UserError`."""
    key = next((key for key, kind in METHODS.items() if type(method) is kind), type(method).__name__)
    check_agent(agent, key)
    if method.needs_representation:
        raise UserError(
            f"method {key} wants the gradients of a representation that the heads of all tasks read, and {agent} has "
            "none; set method.gradients=shared."
        )
    if agent == "stl_sac" and isinstance(method, GradientMethod):
        raise UserError(f"agent stl_sac shares no parameters between tasks; {key} has nothing to combine.")
