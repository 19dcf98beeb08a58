"""Sums between two evaluations: losses, weights and Gramians of the updates, the training episodes, time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.common.epoch_sums import SPECTRUM, EpochSums
from methods import Step

COMPONENTS = ("critic", "actor")
_HOST = torch.device("cpu")


class Sums:
    """Of S seeds and K tasks. What a GPU computes stays there until an evaluation asks for it."""

    def __init__(self, n_seeds: int, tasks: Sequence[str], device: torch.device) -> None:
        self.n_seeds, self.tasks, self.device = n_seeds, list(tasks), device
        shape = (n_seeds, len(self.tasks))
        self.returns = np.zeros(shape)  # of the episodes under way
        self.succeeded = np.zeros(shape, dtype=bool)
        self.clear()

    def clear(self) -> None:
        """Begin anew after an evaluation; the episodes under way go on."""
        shape = (self.n_seeds, len(self.tasks))
        self.updates = 0
        self.losses = {name: torch.zeros(shape, dtype=torch.float64, device=self.device) for name in COMPONENTS}
        self.weights = {name: torch.zeros(shape, dtype=torch.float64, device=self.device) for name in COMPONENTS}
        self.weighted = Counter[str]()  # updates that had weights, by component
        self.statuses = [Counter[str]() for _ in range(self.n_seeds)]
        # Used for the Gramians only: losses, weights and statuses of all seeds are summed at once, above.
        self.spectra = [{name: EpochSums(0, _HOST) for name in COMPONENTS} for _ in range(self.n_seeds)]
        self.steps = 0
        self.samples = 0  # of the updates' batches, of one seed
        self.seconds = 0.0  # of collection and updates
        self.temperature = torch.zeros(shape, device=self.device)
        self.episodes = 0
        self.episode_returns = np.zeros(shape)
        self.episode_successes = np.zeros(shape)

    def add_step(self, rewards: np.ndarray, successes: np.ndarray) -> None:
        """One step's rewards and successes, both ``[S, K]``."""
        self.steps += 1
        self.returns += rewards
        self.succeeded |= successes

    def end_episode(self) -> None:
        self.episodes += 1
        self.episode_returns += self.returns
        self.episode_successes += self.succeeded
        self.returns[:] = 0.0
        self.succeeded[:] = False

    def add_update(self, diagnostics: Mapping[str, Any], samples: int) -> None:
        """What :meth:`experiments.mt10.learner.Learner.update` returned, and each seed's transitions in its batch."""
        self.updates += 1
        self.samples += samples
        self.temperature = diagnostics["temperature"].detach().expand(self.temperature.shape)
        for name in COMPONENTS:
            self.losses[name] += diagnostics[f"{name}_loss"]
            steps: Sequence[Step] = diagnostics[f"{name}_steps"]
            weights = [step.weights for step in steps if step.weights is not None]
            if len(weights) == self.n_seeds:
                self.weights[name] += torch.stack(weights).to(self.weights[name])
                self.weighted[name] += 1
            for counter, spectra, step in zip(self.statuses, self.spectra, steps, strict=True):
                if status := step.diagnostics.get("status"):
                    counter[f"{name}/{status}"] += 1
                if (gramian := step.diagnostics.get("gramian")) is not None:
                    # A copy: the next update may overwrite the memory that a captured one computes in.
                    own = gramian.detach().to(_HOST, copy=True)
                    spectra[name].add(torch.zeros(0), Step(None, {"gramian": own}), 0)

    def mean_losses(self) -> dict[str, float]:
        """Mean over updates, seeds and tasks, by component; empty before the first update. Waits for a GPU."""
        if not self.updates:
            return {}
        return {name: float(self.losses[name].mean()) / self.updates for name in COMPONENTS}

    def entry(self, index: int) -> dict[str, Any]:
        """One seed's means for the record."""
        losses = self._means(self.losses, dict.fromkeys(COMPONENTS, self.updates), index)
        temperature = self.temperature[index].tolist() if self.updates else []
        train: dict[str, float] = {"episodes": self.episodes}
        if self.episodes:
            successes, returns = self.episode_successes[index], self.episode_returns[index]
            train |= {f"success/{t}": float(v) / self.episodes for t, v in zip(self.tasks, successes, strict=True)}
            train |= {f"return/{t}": float(v) / self.episodes for t, v in zip(self.tasks, returns, strict=True)}
        return {
            "train_losses": losses,
            "weights": self._means(self.weights, self.weighted, index) or None,
            "gramian": self._spectra(index),
            "solver_statuses": dict(self.statuses[index]),
            "steps": self.steps,
            "samples": self.samples,
            "train_seconds": self.seconds,
            "temperature": dict(zip(self.tasks, temperature, strict=False)),
            "train": train,
        }

    def _spectra(self, index: int) -> dict[str, float]:
        """Means over the updates with a Gramian, by ``critic/smallest_eigenvalue``, …; empty without any."""
        means: dict[str, float] = {}
        for name, sums in self.spectra[index].items():
            if sums.gramian_steps:
                entry = sums.entry(())
                means |= {f"{name}/{key}": entry[key] for key in SPECTRUM}
        return means

    def _means(self, sums: Mapping[str, Tensor], counts: Mapping[str, int], index: int) -> dict[str, float]:
        means: dict[str, float] = {}
        for name in COMPONENTS:
            if counts[name]:
                values = (sums[name][index] / counts[name]).tolist()
                means |= {f"{name}/{task}": value for task, value in zip(self.tasks, values, strict=True)}
        return means

    def state_dict(self) -> dict[str, Any]:
        return {
            "updates": self.updates,
            "losses": dict(self.losses),
            "weights": dict(self.weights),
            "weighted": dict(self.weighted),
            "statuses": [dict(counter) for counter in self.statuses],
            "spectra": [{name: sums.state_dict() for name, sums in own.items()} for own in self.spectra],
            "steps": self.steps,
            "samples": self.samples,
            "seconds": self.seconds,
            "temperature": self.temperature.clone(),
            "episodes": self.episodes,
            **{name: torch.from_numpy(getattr(self, name).copy()) for name in _ARRAYS},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.updates, self.episodes = int(state["updates"]), int(state["episodes"])
        self.losses = {name: value.to(self.device) for name, value in state["losses"].items()}
        self.weights = {name: value.to(self.device) for name, value in state["weights"].items()}
        self.weighted = Counter(state["weighted"])
        self.statuses = [Counter(counter) for counter in state["statuses"]]
        for own, saved in zip(self.spectra, state["spectra"], strict=True):
            for name, sums in own.items():
                sums.load_state_dict(saved[name])
        self.steps, self.samples = int(state["steps"]), int(state["samples"])
        self.seconds = float(state["seconds"])
        self.temperature = state["temperature"].to(self.device)
        for name in _ARRAYS:
            setattr(self, name, state[name].numpy().copy())


_ARRAYS = ("returns", "succeeded", "episode_returns", "episode_successes")
