"""The temperatures of soft actor-critic: one for all tasks or one for each, learned towards a target entropy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from experiments.common.errors import UserError
from experiments.mt10.component import adam, snapshot
from experiments.mt10.health import Health
from methods import GradientMethod, LossWeighting, Method
from methods.gradients import TaskGradients


class Temperature:
    """log α, [S, K] or, ``shared``, [S, 1].

    The loss of task k is α·(−E[log π] − target entropy), with α as its factor, as in mtrl. Without ``methods`` each
    temperature follows its own task's loss, a shared one the tasks' mean. With them (one a seed) the K gradients of
    log α are combined like any other parameter's: for a shared temperature they are K numbers, a matrix of rank one,
    for which Nash-MTL has no solution unless their signs agree.
    """

    def __init__(
        self,
        n_seeds: int,
        n_tasks: int,
        *,
        initial: float,
        shared: bool,
        target_entropy: float,
        lr: float,
        methods: Sequence[Method] | None,
        health: Health,
        device: torch.device,
    ) -> None:
        start = torch.full((n_seeds, 1 if shared else n_tasks), initial, device=device).log()
        self.log_values = start.requires_grad_()
        self.n_tasks, self.shared, self.target_entropy = n_tasks, shared, target_entropy
        self.methods, self.health = methods, health
        if methods is not None and methods[0].parameters():
            raise UserError(
                "temperature_in_aggregation does not go with a method that has parameters of its own (uw)."
            )
        self.optimizer = adam([self.log_values], lr, device)

    def values(self) -> Tensor:
        """α, [S, K] or [S, 1]."""
        return self.log_values.exp()

    def step(self, log_probabilities: Tensor, present: Tensor | None = None) -> None:
        """One step from the tasks' mean log-probabilities [S, K]; tasks that are not ``present`` [S, K] have no say.

        ``None``: all are. (Adam's momentum still moves the temperature of an absent task a little.)
        """
        losses = self.values().detach() * (-log_probabilities - self.target_entropy)  # [S, K], and dL/d log α
        if present is not None:
            losses = torch.where(present, losses, 0.0)
        if self.methods is not None:
            gradient = torch.stack([self._combined(s, own) for s, own in enumerate(losses)])
        else:
            gradient = self._mean(losses, present) if self.shared else losses
        self.health.note_gradients("temperature", [gradient])
        self.log_values.grad = gradient
        self.health.guard(self.optimizer)
        self.optimizer.step()
        self.optimizer.zero_grad()

    @staticmethod
    def _mean(losses: Tensor, present: Tensor | None) -> Tensor:
        """From losses [S, K], zero for absent tasks, to the mean over those present, [S, 1]."""
        if present is None:
            return losses.mean(dim=1, keepdim=True)
        return losses.sum(dim=1, keepdim=True) / present.sum(dim=1, keepdim=True).clamp(min=1)

    def _combined(self, index: int, losses: Tensor) -> Tensor:
        """One seed's gradient, [K] or [1], by its method, from losses [K] that are their own derivatives by log α."""
        assert self.methods is not None
        method = self.methods[index]
        columns = losses[:, None] if self.shared else losses.diag()  # [K, 1] or [K, K]
        if isinstance(method, LossWeighting):
            _, weights = method.objective(losses)
            return weights.to(columns) @ columns
        assert isinstance(method, GradientMethod)
        with self.health.naming("temperature", index):
            reused = method.reused_weights()
            if reused is not None:
                combined, _ = method.step_from_weighted_gradient([reused.to(columns) @ columns])
            else:
                combined, _ = method.step_from_task_gradients(TaskGradients([columns], self.n_tasks), list(losses))
        assert combined[0] is not None
        return combined[0]

    def state_dict(self) -> dict[str, Any]:
        return {
            "log_values": self.log_values.detach().cpu().clone(),
            "optimizer": snapshot(self.optimizer.state_dict()),
            "methods": None if self.methods is None else [snapshot(method.state_dict()) for method in self.methods],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.log_values.copy_(state["log_values"])
        self.optimizer.load_state_dict(state["optimizer"])
        for method, own in zip(self.methods or [], state["methods"] or [], strict=True):
            method.load_state_dict(own)
