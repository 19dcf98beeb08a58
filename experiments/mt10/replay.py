"""Replay buffer: preallocated on the device, one transition a task at a time, sampled without a loop over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from experiments.common.errors import UserError

SAMPLINGS = ("balanced", "mixed")


class Batch(NamedTuple):
    """Transitions of S seeds, K tasks, B samples of each task. Episodes have no terminal state.

    ``weights``: [S, K, B], the share of each sample in its task's mean (padding and absent tasks have zeros), or
    ``None`` where all count alike.
    """

    observations: Tensor  # [S, K, B, O]
    actions: Tensor  # [S, K, B, A]
    rewards: Tensor  # [S, K, B]
    next_observations: Tensor  # [S, K, B, O]
    weights: Tensor | None = None


class Replay:
    """The last ``capacity`` transitions of every task of every seed.

    ``sampling``:

    * ``"balanced"``: B samples of each task, uniform over its transitions, independent between tasks;
    * ``"mixed"``: K·B samples uniform over all tasks' transitions, as in mtrl, so that a task has B of them on
      average only; they are sorted by task and padded to the most frequent one.

    A row of the one tensor that holds everything is a transition, so that a sample is one gather.

    Raises :class:`UserError` for an unknown sampling and ``ValueError`` for sampling an empty buffer.
    """

    def __init__(
        self,
        n_seeds: int,
        n_tasks: int,
        capacity_per_task: int,
        observation_size: int,
        action_size: int,
        device: torch.device | str = "cpu",
        sampling: str = "balanced",
    ) -> None:
        if sampling not in SAMPLINGS:
            raise UserError(f"sampling is {sampling!r}; expected {' or '.join(SAMPLINGS)}.")
        if capacity_per_task < 1:
            raise UserError(f"capacity_per_task is {capacity_per_task}; expected at least 1 transition.")
        self.n_seeds, self.n_tasks, self.capacity = n_seeds, n_tasks, capacity_per_task
        self.observation_size, self.action_size = observation_size, action_size
        self.device, self.sampling = torch.device(device), sampling
        row = 2 * observation_size + action_size + 1
        self.rows = torch.zeros(n_seeds, n_tasks, capacity_per_task, row, device=self.device)  # [S, K, N, 2O+A+1]
        self.position = 0  # where the next transition goes
        self.length = 0
        # The first row of each task's block in the flattened tensor, [S, K, 1].
        starts = torch.arange(n_seeds * n_tasks, device=self.device) * capacity_per_task
        self._starts = starts.view(n_seeds, n_tasks, 1)

    def __len__(self) -> int:
        """Transitions per task."""
        return self.length

    def add(
        self,
        observations: Tensor | np.ndarray,
        actions: Tensor | np.ndarray,
        rewards: Tensor | np.ndarray,
        next_observations: Tensor | np.ndarray,
    ) -> None:
        """Add one transition of every task of every seed: [S, K, O], [S, K, A], [S, K], [S, K, O]."""
        parts = [torch.as_tensor(part) for part in (observations, actions, rewards, next_observations)]
        parts[2] = parts[2].unsqueeze(-1)
        # Joined where they are (usually on the CPU), so that one copy takes them to the device.
        row = torch.cat([part.to(torch.float32) for part in parts], dim=-1)
        self.rows[:, :, self.position] = row.to(self.device, non_blocking=True)
        self.position = (self.position + 1) % self.capacity
        self.length = min(self.length + 1, self.capacity)

    def sample(self, batch_size: int, generators: Sequence[torch.Generator]) -> Batch:
        """``batch_size`` samples of every task; one generator a seed, so that its draws are its own."""
        if self.length == 0:
            raise ValueError("the replay buffer is empty; add transitions before sampling.")
        if len(generators) != self.n_seeds:
            raise ValueError(f"got {len(generators)} generators for {self.n_seeds} seeds; give one a seed.")
        if self.sampling == "mixed":
            indices, weights = self._mixed(batch_size, generators)
        else:
            shape = (self.n_tasks, batch_size)
            drawn = [
                torch.randint(self.length, shape, generator=generator, device=self.device) for generator in generators
            ]
            indices, weights = torch.stack(drawn), None
        rows = self.rows.flatten(0, 2).index_select(0, (indices + self._starts).flatten())
        rows = rows.view(*indices.shape, -1)
        o, a = self.observation_size, self.action_size
        observations, actions, rewards, following = rows.split([o, a, 1, o], dim=-1)
        return Batch(observations, actions, rewards.squeeze(-1), following, weights)

    def _mixed(self, batch_size: int, generators: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Indices [S, K, P] into each task's transitions and the samples' weights, P the largest count of a task."""
        total = self.n_tasks * batch_size
        device = self.device
        tasks = torch.stack([torch.randint(self.n_tasks, (total,), generator=g, device=device) for g in generators])
        drawn = torch.stack([torch.randint(self.length, (total,), generator=g, device=device) for g in generators])
        counts = torch.nn.functional.one_hot(tasks, self.n_tasks).sum(dim=1)  # [S, K]
        padded = int(counts.max())  # waits for a GPU; balanced sampling does not
        tasks, order = tasks.sort(dim=1, stable=True)
        drawn = drawn.gather(1, order)
        first = counts.cumsum(dim=1) - counts  # where each task's samples begin in the sorted draw
        place = torch.arange(total, device=device) - first.gather(1, tasks)  # [S, K*B]
        indices = torch.zeros(self.n_seeds, self.n_tasks * padded, dtype=torch.long, device=device)
        weights = torch.zeros(self.n_seeds, self.n_tasks * padded, device=device)
        target = tasks * padded + place
        indices.scatter_(1, target, drawn)
        weights.scatter_(1, target, 1.0 / counts.gather(1, tasks).to(torch.float32))
        shape = (self.n_seeds, self.n_tasks, padded)
        return indices.view(shape), weights.view(shape)

    def state_dict(self) -> dict[str, Any]:
        """The filled part of the buffer and where it stands."""
        return {
            "rows": self.rows[:, :, : self.length].cpu().clone(),
            "position": self.position,
            "capacity": self.capacity,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned; raises ``ValueError`` if the sizes differ."""
        rows = state["rows"]
        expected = (self.n_seeds, self.n_tasks, self.rows.shape[3])
        if (*rows.shape[:2], rows.shape[3]) != expected or state["capacity"] != self.capacity:
            raise ValueError(
                f"the saved replay buffer is [S, K, N, row] = {list(rows.shape)} with capacity {state['capacity']}; "
                f"this run's is {list(self.rows.shape)}."
            )
        self.length = rows.shape[2]
        self.rows[:, :, : self.length] = rows.to(self.device)
        self.position = int(state["position"])
