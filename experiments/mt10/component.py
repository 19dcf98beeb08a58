"""One component of the learner, the critics or the actor: its losses, its methods (one a seed), its optimiser.

A step has two halves with the methods' choice of weights between them:

1. losses, gradients and Gramians of all seeds (on the device);
2. combination of the gradients, clipping, Adam (on the device).

Either half can be captured as a CUDA graph; the weights are found between them, on the CPU where a method does so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from experiments.mt10.capture import Captured
from experiments.mt10.health import Health
from experiments.mt10.networks import Evaluation, Layers, is_task_specific, probes
from experiments.mt10.stacked_gradients import StackedTaskGradients
from methods import GradientMethod, GramianWeighting, LossWeighting, Method, Step
from methods.gradients import clip_gradient_norm, compute_task_gradients, scalar_gradients
from methods.ls import LinearScalarization

#: Losses [S, K] and anything else, from an evaluation of the trained parameters and the step's inputs.
Losses = Callable[..., tuple[Tensor, Tensor | None]]


class Outcome(NamedTuple):
    """``losses`` [S, K], detached; ``extra``: what their function returned beside them; a step for each seed."""

    losses: Tensor
    extra: Tensor | None
    steps: list[Step]


class _Gradients(NamedTuple):
    """The first half's result: shared gradients by task [S, C, K, …] or weighted [S, C, …], and the heads'."""

    losses: Tensor
    extra: Tensor | None
    shared: list[Tensor]
    heads: list[Tensor]  # [S, C, K, …]
    gramians: Tensor | None  # [S, K, K]


class Component:
    """Parameters [S, C, (K,) …] that are trained together, with the aggregation of their K losses.

    ``parameters``: by name, trained in place. ``losses``: see :data:`Losses`. ``methods``: one a seed, of one kind.
    """

    def __init__(
        self,
        name: str,
        layers: Layers,
        parameters: dict[str, Tensor],
        losses: Losses,
        methods: Sequence[Method],
        *,
        n_tasks: int,
        lr: float,
        method_lr: float,
        health: Health,
        capture: bool = False,
    ) -> None:
        self.name, self.layers, self.parameters, self.losses = name, layers, parameters, losses
        self.methods, self.n_tasks, self.health = list(methods), n_tasks, health
        for parameter in parameters.values():
            parameter.requires_grad_()
        self.shared_names = [name for name in parameters if not is_task_specific(layers, name)]
        self.head_names = [name for name in parameters if is_task_specific(layers, name)]
        self.shared = [parameters[name] for name in self.shared_names]
        self.heads = [parameters[name] for name in self.head_names]
        device = next(iter(parameters.values())).device
        self.device = device
        self.optimizer = adam([*self.shared, *self.heads], lr, device)
        own = [parameter for method in self.methods for parameter in method.parameters()]
        self.method_optimizer = adam(own, method_lr, device) if own else None
        self._held: _Gradients | None = None
        self._fixed_weights: Tensor | None = None
        halves: list[Callable[..., Any]] = [
            self._gradients_by_task,
            self._weighted_gradients,
            self._apply_by_task,
            self._apply_weighted,
        ]
        self._captured: list[Captured] = [Captured(half) for half in halves] if capture else []
        if capture:
            halves = list(self._captured)
        self._by_task, self._weighted, self._finish_by_task, self._finish_weighted = halves

    def step(self, *inputs: Tensor | None) -> Outcome:
        """One step of all seeds. Raises :class:`NonFiniteLoss` and :class:`NonFiniteGradient` before it writes."""
        kind = self.methods[0]
        if isinstance(kind, LinearScalarization):
            return self._weighted_step(self._fixed_steps(), inputs, weight_heads=True)
        if isinstance(kind, LossWeighting):
            return self._objective_step(inputs)
        assert isinstance(kind, GradientMethod)
        methods = [method for method in self.methods if isinstance(method, GradientMethod)]
        if all(method.reused_weights() is not None for method in methods):
            return self._reusing_step(methods, inputs)
        return self._task_gradient_step(methods, inputs)

    def task_gradients(self, *inputs: Tensor | None) -> StackedTaskGradients:
        """The K gradients of the shared parameters, as a gradient method's step computes them; writes nothing."""
        return StackedTaskGradients(self._gradients_by_task(*inputs).shared)

    # --- steps by the kind of method ---

    def _fixed_steps(self) -> list[Step]:
        return [Step(m.task_weights, {}) for m in self.methods if isinstance(m, LinearScalarization)]

    def _objective_step(self, inputs: Sequence[Tensor | None]) -> Outcome:
        losses, extra = self._evaluate(Evaluation(self.layers, self.parameters), inputs)
        total, steps = losses.new_zeros(()), []
        for method, own in zip(self.methods, losses, strict=True):
            assert isinstance(method, LossWeighting)
            objective, weights = method.objective(own)
            total = total + objective
            steps.append(Step(weights.detach(), {"objective": objective.detach()}))
        learned = [parameter for method in self.methods for parameter in method.parameters()]
        gradients = _present(scalar_gradients(total, [*self.shared, *self.heads, *learned]))
        shared, heads, own_gradients = _split(gradients, len(self.shared), len(self.heads))
        self._write(shared, heads)
        if self.method_optimizer is not None:
            for parameter, gradient in zip(learned, own_gradients, strict=True):
                parameter.grad = gradient
            self.health.guard(self.method_optimizer)
            self.method_optimizer.step()
        return Outcome(losses.detach(), extra, steps)

    def _reusing_step(self, methods: Sequence[GradientMethod], inputs: Sequence[Tensor | None]) -> Outcome:
        steps = [Step(method.reused_weights(), {"status": "reused"}) for method in methods]
        outcome = self._weighted_step(steps, inputs, weight_heads=methods[0].weight_heads)
        return outcome._replace(steps=[method.step_with_reused_weights() for method in methods])

    def _weighted_step(
        self, steps: Sequence[Step], inputs: Sequence[Tensor | None], *, weight_heads: bool
    ) -> Outcome:
        if not isinstance(self.methods[0], LinearScalarization):
            weights = self._stacked_weights(steps)
        elif self._fixed_weights is None:  # once: an upload may wait for the device
            weights = self._fixed_weights = self._stacked_weights(steps)
        else:
            weights = self._fixed_weights
        self._held = self._weighted(weights, weights if weight_heads else torch.ones_like(weights), *inputs)
        self._finish_weighted(weights)
        return Outcome(self._held.losses, self._held.extra, list(steps))

    def _task_gradient_step(self, methods: Sequence[GradientMethod], inputs: Sequence[Tensor | None]) -> Outcome:
        self._held = held = self._by_task(*inputs)
        if all(isinstance(method, GramianWeighting) for method in methods):
            assert held.gramians is not None
            steps = self._steps_from_gramians(held.gramians.cpu())  # one wait for all seeds
            self._finish_by_task(self._stacked_weights(steps))
            return Outcome(held.losses, held.extra, steps)
        stacked = StackedTaskGradients(held.shared)
        results, steps = [], []
        for index, method in enumerate(methods):
            with self.health.naming(self.name, index):
                combined, step = method.step_from_task_gradients(stacked.of_seed(index), list(held.losses[index]))
            results.append(combined)
            steps.append(step)
        heads = held.heads
        if methods[0].weight_heads and all(step.weights is not None for step in steps):
            heads = _scaled(heads, self._stacked_weights(steps))
        self._write(stacked.restacked(results), heads)
        return Outcome(held.losses, held.extra, steps)

    def _steps_from_gramians(self, gramians: Tensor) -> list[Step]:
        steps = []
        for index, (method, gramian) in enumerate(zip(self.methods, gramians, strict=True)):
            assert isinstance(method, GramianWeighting)
            with self.health.naming(self.name, index):
                steps.append(method.step_from_gramian(gramian))
        return steps

    # --- the first half ---

    def _evaluate(self, trained: Evaluation, inputs: Sequence[Tensor | None]) -> tuple[Tensor, Tensor | None]:
        losses, extra = self.losses(trained, *inputs)
        self.health.note_losses(self.name, losses.detach())
        return losses, extra

    def _gradients_by_task(self, *inputs: Tensor | None) -> _Gradients:
        method = self.methods[0]
        assert isinstance(method, GradientMethod)
        if method.task_gradients != "auto":
            return self._gradients_by_passes(method.task_gradients, inputs)
        trained = probes(self.layers, self.parameters, self.n_tasks)
        losses, extra = self._evaluate(Evaluation(self.layers, trained, per_task=True), inputs)
        tensors = [*(trained[name] for name in self.shared_names), *self.heads]
        gradients = _present(torch.autograd.grad(losses.sum(), tensors))
        shared, heads, _ = _split(gradients, len(self.shared), len(self.heads))
        return self._with_gramians(losses, extra, shared, heads)

    def _gradients_by_passes(self, strategy: str, inputs: Sequence[Tensor | None]) -> _Gradients:
        """K backward passes (``loop``), or vectorised (``batched``): for any architecture, and to compare."""
        losses, extra = self._evaluate(Evaluation(self.layers, self.parameters), inputs)
        by_task = list(losses.sum(dim=0))  # seeds do not meet: one pass has every seed's own gradient
        found = compute_task_gradients(by_task, self.shared, strategy=strategy, retain_graph=bool(self.heads))
        shared = [gradient.movedim(0, 2) for gradient in _present(found.per_tensor)]
        heads = _present(scalar_gradients(losses.sum(), self.heads)) if self.heads else []
        return self._with_gramians(losses, extra, shared, heads)

    def _with_gramians(
        self, losses: Tensor, extra: Tensor | None, shared: list[Tensor], heads: list[Tensor]
    ) -> _Gradients:
        gramian_only = isinstance(self.methods[0], GramianWeighting)
        gramians = StackedTaskGradients(shared).gramians() if gramian_only else None
        return _Gradients(losses.detach(), extra, shared, heads, gramians)

    def _weighted_gradients(self, weights: Tensor, head_weights: Tensor, *inputs: Tensor | None) -> _Gradients:
        losses, extra = self._evaluate(Evaluation(self.layers, self.parameters), inputs)
        separate = bool(self.heads) and not self._weights_heads()
        objective = (losses * weights).sum()
        if separate:
            shared = _present(scalar_gradients(objective, self.shared, retain_graph=True))
            heads = _present(scalar_gradients((losses * head_weights).sum(), self.heads))
        else:
            gradients = _present(scalar_gradients(objective, [*self.shared, *self.heads]))
            shared, heads, _ = _split(gradients, len(self.shared), len(self.heads))
        return _Gradients(losses.detach(), extra, shared, heads, None)

    def _weights_heads(self) -> bool:
        method = self.methods[0]
        return method.weight_heads if isinstance(method, GradientMethod) else True

    # --- the second half ---

    def _apply_by_task(self, weights: Tensor) -> None:
        assert self._held is not None
        shared = StackedTaskGradients(self._held.shared).combine(weights)
        heads = _scaled(self._held.heads, weights) if self._weights_heads() else self._held.heads
        self._clip(shared)
        self._write(shared, heads)

    def _apply_weighted(self, weights: Tensor) -> None:
        assert self._held is not None
        self._clip(self._held.shared)
        self._write(self._held.shared, self._held.heads)

    def _clip(self, shared: list[Tensor]) -> None:
        method = self.methods[0]
        if isinstance(method, GradientMethod) and method.max_norm > 0:
            for index in range(len(self.methods)):
                clip_gradient_norm([gradient[index] for gradient in shared], method.max_norm)

    def _write(self, shared: Sequence[Tensor], heads: Sequence[Tensor]) -> None:
        gradients = [*shared, *heads]
        self.health.note_gradients(self.name, gradients)
        for parameter, gradient in zip([*self.shared, *self.heads], gradients, strict=True):
            parameter.grad = gradient
        self.health.guard(self.optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad()

    # --- helpers ---

    def _stacked_weights(self, steps: Sequence[Step]) -> Tensor:
        weights = [step.weights for step in steps]
        stacked = torch.stack([w for w in weights if w is not None]).float()
        return stacked.to(self.device, non_blocking=True)

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": snapshot(self.optimizer.state_dict()),
            "methods": [snapshot(method.state_dict()) for method in self.methods],
            "method_optimizer": snapshot(self.method_optimizer.state_dict()) if self.method_optimizer else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        for method, own in zip(self.methods, state["methods"], strict=True):
            method.load_state_dict(own)
        if self.method_optimizer is not None:
            self.method_optimizer.load_state_dict(state["method_optimizer"])
        for captured in self._captured:
            captured.reset()  # the optimiser has new tensors


def adam(parameters: Sequence[Tensor], lr: float, device: torch.device) -> torch.optim.Adam:
    """Adam with mtrl's constants. Elementwise, so that stacked seeds and tasks do not meet in it."""
    on_gpu = device.type == "cuda"
    return torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.999), eps=1e-8, fused=True, capturable=on_gpu)


def snapshot(state: Any) -> Any:
    """A copy on the CPU that later steps do not change."""
    return pytree.tree_map(lambda leaf: leaf.detach().cpu().clone() if isinstance(leaf, Tensor) else leaf, state)


def _scaled(heads: Sequence[Tensor], weights: Tensor) -> list[Tensor]:
    """The heads' gradients [S, C, K, …] times their tasks' weights [S, K]."""
    return [head * weights.to(head).view(len(head), 1, -1, *[1] * (head.dim() - 3)) for head in heads]


def _present(gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """Every layer of an architecture is reached by its component's losses."""
    if any(gradient is None for gradient in gradients):
        raise RuntimeError("a layer is not reached by the losses of the component that trains it.")
    return [gradient for gradient in gradients if gradient is not None]


def _split(gradients: list[Tensor], n_shared: int, n_heads: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    end = n_shared + n_heads
    return gradients[:n_shared], gradients[n_shared:end], gradients[end:]
