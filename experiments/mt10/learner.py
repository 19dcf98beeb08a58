"""The learner: soft actor-critic of S seeds and K tasks in stacked tensors, with any method for the K losses.

An update is mtrl's: the critics (and encoders) take a step, then the actor, then the temperature; then the target
networks move. Critics and actor have methods of their own, for every seed, with states of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.mt10.agents import Sizes, check_method, make_architecture
from experiments.mt10.capture import Captured
from experiments.mt10.component import Component, snapshot
from experiments.mt10.health import Health
from experiments.mt10.networks import Evaluation, count, initial_parameters
from experiments.mt10.replay import SAMPLINGS, Batch
from experiments.mt10.sac import SACOptions, actor_losses, critic_losses, mean_action, sample_actions
from experiments.mt10.temperature import Temperature
from methods import CAGrad, Method, NashMTL, PCGrad

CAPTURES = ("none", "graph", "compile")
TEMPERATURES = ("auto", "shared", "per_task")


class Learner:
    """All networks of S seeds; :meth:`act` and :meth:`update` are what a training loop needs.

    ``make_method`` is called with a seed, twice for each: its critics' and its actor's method (and a third time with
    ``temperature_in_aggregation``). ``tasks``: the tasks' names, for CARE and in messages; with ``None`` CARE
    takes the ten of MT10, and messages number them. A seed's numbers do not depend on which others are trained beside
    it, but for rounding (batched products of another size): 1e-5 after a few updates.

    Raises :class:`UserError` for an unknown agent or option, or a method that the agent cannot be trained with.
    """

    def __init__(
        self,
        agent: str,
        *,
        n_tasks: int,
        observation_size: int,
        action_size: int,
        seeds: Sequence[int],
        make_method: Callable[[int], Method],
        options: SACOptions | None = None,
        device: torch.device | str = "cpu",
        tasks: Sequence[str] | None = None,
    ) -> None:
        self.options = options or SACOptions()
        check_options(self.options)
        self.device, self.seeds, self.n_tasks = torch.device(device), list(seeds), n_tasks
        self.action_size = action_size
        self.architecture = make_architecture(agent, self._sizes(observation_size, tasks)).to(self.device)
        self.layers = self.architecture.layers
        makers = [torch.Generator().manual_seed(seed) for seed in self.seeds]
        self.parameters = initial_parameters(self.layers, n_tasks, makers, self.device)
        #: One generator a seed: for replay samples, actions and the losses' noise.
        self.generators = [
            torch.Generator(self.device).manual_seed(int(torch.randint(1 << 62, (), generator=maker)))
            for maker in makers
        ]
        self.targets = {n: p.clone() for n, p in self.parameters.items() if n.startswith(("critic.", "encoder."))}
        self._frozen = Evaluation(self.layers, {n: p.detach() for n, p in self.parameters.items()})
        self._target = Evaluation(self.layers, {**self._frozen.parameters, **self.targets})
        self.updates = 0

        components = ("critic", "actor", "temperature")
        names = [str(k) for k in range(n_tasks)] if tasks is None else tasks
        self.health = Health(self.seeds, names, components, self.device)
        methods = [[make_method(seed).to(self.device) for seed in self.seeds] for _ in components[:2]]
        for method in (methods[0][0], methods[1][0]):
            check_method(agent, method)
        aggregating = self.options.temperature_in_aggregation
        self.temperature = Temperature(
            len(self.seeds),
            n_tasks,
            initial=self.options.initial_temperature,
            shared=shares_temperature(self.options.temperature, methods[0][0]),
            target_entropy=self.options.target_entropy * action_size,
            lr=self.options.lr,
            methods=[make_method(seed).to(self.device) for seed in self.seeds] if aggregating else None,
            health=self.health,
            device=self.device,
        )
        critic_loss, actor_loss = critic_losses, actor_losses
        if self.options.capture == "compile":
            critic_loss = torch.compile(critic_losses, backend=self.options.compile_backend)
            actor_loss = torch.compile(actor_losses, backend=self.options.compile_backend)
        self._critic_losses, self._actor_losses = critic_loss, actor_loss
        graph = self.options.capture == "graph"
        shared_settings: dict[str, Any] = {
            "n_tasks": n_tasks,
            "lr": self.options.lr,
            "method_lr": self.options.method_lr,
            "health": self.health,
            "capture": graph,
        }
        split: dict[bool, dict[str, Tensor]] = {True: {}, False: {}}
        for name, parameter in self.parameters.items():
            split[name.startswith("actor.")][name] = parameter
        self.critic = Component(
            "critic", self.layers, split[False], self._critic_step_losses, methods[0], **shared_settings
        )
        self.actor = Component(
            "actor", self.layers, split[True], self._actor_step_losses, methods[1], **shared_settings
        )
        rest: list[Callable[..., Any]] = [self._finish_update, self._act_on_the_mean, self._act_at_random]
        self._captured: list[Captured] = [Captured(function) for function in rest] if graph else []
        if graph:
            rest = list(self._captured)
        self._finish, self._mean_actions, self._sampled_actions = rest

    def _sizes(self, observation_size: int, tasks: Sequence[str] | None) -> Sizes:
        options = self.options
        return Sizes(
            n_tasks=self.n_tasks,
            observation_size=observation_size,
            action_size=self.action_size,
            width=options.width,
            layers=options.layers,
            stl_layers=options.stl_layers,
            encoding_size=options.encoding_size,
            experts=options.experts,
            tasks=None if tasks is None else tuple(tasks),
            task_embedding_file=options.task_embedding_file,
        )

    @torch.no_grad()
    def act(self, observations: Tensor, *, deterministic: bool) -> Tensor:
        """Actions [S, K, A] in [-1, 1] for observations [S, K, O] on the learner's device."""
        if deterministic:
            return self._mean_actions(observations).clone()
        return self._sampled_actions(observations, self._noise((self.n_tasks, self.action_size))).clone()

    def update(self, batch: Batch) -> dict[str, Any]:
        """One update from a batch of :class:`Replay`.

        Returns ``critic_loss``, ``actor_loss`` and ``temperature`` [S, K], on the device and safe to keep, and
        ``critic_steps`` and ``actor_steps``: each seed's :class:`methods.Step` with weights and diagnostics.

        Raises :class:`NonFiniteLoss` and :class:`NonFiniteGradient`, naming seed and task, before the component at
        fault is written (on a GPU at the next :meth:`check_finite`, with nothing written since).
        """
        shape = (self.n_tasks, batch.rewards.shape[2], self.action_size)
        critic = self.critic.step(*batch[:4], batch.weights, self._noise(shape))
        actor = self.actor.step(batch.observations, batch.weights, self._noise(shape))
        assert actor.extra is not None
        temperature = self.temperature.values().detach().clone()
        self._finish(actor.extra, batch.weights)
        self.updates += 1
        if self.device.type != "cpu" and self.updates % self.options.check_every == 0:
            self.check_finite()
        return {
            "critic_loss": critic.losses.clone(),
            "actor_loss": actor.losses.clone(),
            "temperature": temperature.expand(-1, self.n_tasks),
            "critic_steps": critic.steps,
            "actor_steps": actor.steps,
        }

    def check_finite(self) -> None:
        """Raise :class:`NonFiniteLoss` or :class:`NonFiniteGradient` if an update met one; waits for a GPU."""
        self.health.check()

    def parameter_counts(self) -> dict[str, int]:
        """Trained parameters of one seed by part: ``actor``, ``critic`` (both), ``encoder``, ``task_encoder``."""
        parts = dict.fromkeys(name.partition(".")[0] for name in self.parameters)
        return {part: count(self.parameters, f"{part}.") for part in parts}

    def state_dict(self) -> dict[str, Any]:
        """All that a resumed run needs, as tensors on the CPU and plain values."""
        return {
            "parameters": snapshot(self.parameters),
            "targets": snapshot(self.targets),
            "critic": self.critic.state_dict(),
            "actor": self.actor.state_dict(),
            "temperature": self.temperature.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "updates": self.updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; raises ``ValueError`` if its networks or seeds are others."""
        for own, saved in ((self.parameters, state["parameters"]), (self.targets, state["targets"])):
            shapes = {name: tuple(value.shape) for name, value in saved.items()}
            if shapes != {name: tuple(value.shape) for name, value in own.items()}:
                raise ValueError(
                    "the saved networks differ from this run's in their layers, sizes or number of seeds."
                )
        with torch.no_grad():
            for own, saved in ((self.parameters, state["parameters"]), (self.targets, state["targets"])):
                for name, value in own.items():
                    value.copy_(saved[name])
        self.critic.load_state_dict(state["critic"])
        self.actor.load_state_dict(state["actor"])
        self.temperature.load_state_dict(state["temperature"])
        for captured in self._captured:
            captured.reset()
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.set_state(saved.cpu())
        self.updates = int(state["updates"])

    # --- acting ---

    def _policy(self, observations: Tensor) -> Tensor:
        """From observations [S, K, O] to the policy's output [S, 1, K, 1, 2A]."""
        encoded = self.architecture.encode(self._frozen, observations[:, None, :, None])
        return self.architecture.policy(self._frozen, encoded)

    def _act_on_the_mean(self, observations: Tensor) -> Tensor:
        return mean_action(self._policy(observations))[:, 0, :, 0]

    def _act_at_random(self, observations: Tensor, noise: Tensor) -> Tensor:
        return sample_actions(self._policy(observations), noise[:, None, :, None]).actions[:, 0, :, 0]

    # --- the components' losses ---

    def _critic_step_losses(
        self,
        trained: Evaluation,
        observations: Tensor,
        actions: Tensor,
        rewards: Tensor,
        next_observations: Tensor,
        weights: Tensor | None,
        noise: Tensor,
    ) -> tuple[Tensor, None]:
        batch = Batch(observations, actions, rewards, next_observations, weights)
        evaluations = (trained, self._frozen, self._target)
        temperature = self.temperature.values().detach()
        return (
            self._critic_losses(self.architecture, *evaluations, temperature, batch, noise, self.options.gamma),
            None,
        )

    def _actor_step_losses(
        self, trained: Evaluation, observations: Tensor, weights: Tensor | None, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        temperature = self.temperature.values().detach()
        return self._actor_losses(self.architecture, trained, self._frozen, temperature, observations, weights, noise)

    def _finish_update(self, log_probabilities: Tensor, weights: Tensor | None) -> None:
        """Step of the temperature, then the target networks' moving averages."""
        present = None if weights is None else weights.sum(dim=-1) > 0  # [S, K]
        self.temperature.step(log_probabilities, present)
        running = self.health.running
        rates = {"critic": self.options.tau * running, "encoder": self.options.encoder_tau * running}
        for name, target in self.targets.items():
            target.lerp_(self.parameters[name].detach(), rates[name.partition(".")[0]])

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal [S, *shape], each seed's from its own generator."""
        draw = partial(torch.randn, shape, device=self.device)
        return torch.stack([draw(generator=generator) for generator in self.generators])


def shares_temperature(setting: str, method: Method) -> bool:
    """``auto``: what the published rows had, one temperature with PCGrad, CAGrad and Nash-MTL and one a task else."""
    if setting == "auto":
        return isinstance(method, PCGrad | CAGrad | NashMTL)
    return setting == "shared"


def check_options(options: SACOptions) -> None:
    """Raise :class:`UserError` for values that cannot be run."""
    for name, allowed in (("sampling", SAMPLINGS), ("capture", CAPTURES), ("temperature", TEMPERATURES)):
        if getattr(options, name) not in allowed:
            raise UserError(f"{name} is {getattr(options, name)!r}; expected one of {', '.join(allowed)}.")
    for name in ("width", "layers", "stl_layers", "encoding_size", "experts", "batch_per_task", "check_every"):
        if getattr(options, name) < 1:
            raise UserError(f"{name} is {getattr(options, name)}; expected at least 1.")
    for name in ("lr", "method_lr", "initial_temperature"):
        if not 0 < getattr(options, name) < float("inf"):
            raise UserError(f"{name} is {getattr(options, name)}; expected a positive number.")
    for name in ("gamma", "tau", "encoder_tau"):
        if not 0 <= getattr(options, name) <= 1:
            raise UserError(f"{name} is {getattr(options, name)}; expected a number between 0 and 1.")
    if not abs(options.target_entropy) < float("inf"):
        raise UserError(f"target_entropy is {options.target_entropy}; expected a number, such as -1.")
    if options.capture == "graph" and options.sampling == "mixed":
        raise UserError("capture=graph needs batches of one shape; set sampling=balanced or capture=none.")
    if options.capture == "graph" and options.temperature_in_aggregation:
        raise UserError("capture=graph cannot hold the temperature's method; set temperature_in_aggregation=false.")
