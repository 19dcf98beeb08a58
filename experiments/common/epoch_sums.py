"""What an epoch's steps come to: mean losses and weights, the Gramians' spectrum, how often the solver said what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from methods import Step

SPECTRUM = ("smallest_eigenvalue", "largest_eigenvalue", "smallest_cosine")
_GRAMIANS_AT_ONCE = 256


class EpochSums:
    """Sums over an epoch's steps, kept on the device so that no step waits for it."""

    def __init__(self, n_tasks: int, device: torch.device) -> None:
        self.steps = 0
        self.samples = 0
        self.seconds = 0.0
        self.losses = torch.zeros(n_tasks, dtype=torch.float64, device=device)
        self.weights = torch.zeros(n_tasks, dtype=torch.float64, device=device)
        self.weighted_steps = 0
        self.spectrum = torch.zeros(3, dtype=torch.float64, device=device)  # see SPECTRUM
        self.gramian_steps = 0
        self.gramians: list[Tensor] = []  # whose spectrum is still to be added: eigenvalues make the host wait
        self.statuses: Counter[str] = Counter()

    def add(self, losses: Tensor, step: Step, samples: int) -> None:
        self.steps += 1
        self.samples += samples
        self.losses += losses
        if step.weights is not None:
            self.weights += step.weights.to(self.weights)
            self.weighted_steps += 1
        if (gramian := step.diagnostics.get("gramian")) is not None:
            self.gramians.append(gramian)
            self.gramian_steps += 1
            if len(self.gramians) == _GRAMIANS_AT_ONCE:
                self._add_spectra()
        if status := step.diagnostics.get("status"):
            self.statuses[status] += 1

    def _add_spectra(self) -> None:
        if self.gramians:
            self.spectrum += _spectra(torch.stack(self.gramians)).sum(dim=0)
            self.gramians.clear()

    def state_dict(self) -> dict[str, Any]:
        return {**vars(self), "gramians": list(self.gramians), "statuses": dict(self.statuses)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.losses.device
        moved = {key: value.to(device) if isinstance(value, Tensor) else value for key, value in state.items()}
        gramians = [gramian.to(device) for gramian in state["gramians"]]
        vars(self).update(moved, gramians=gramians, statuses=Counter(state["statuses"]))

    def entry(self, tasks: Sequence[str]) -> dict[str, Any]:
        """Means over the epoch, for the record."""
        self._add_spectra()
        weights = (self.weights / max(self.weighted_steps, 1)).tolist()
        spectrum = (self.spectrum / max(self.gramian_steps, 1)).tolist()
        return {
            "train_losses": dict(zip(tasks, (self.losses / self.steps).tolist(), strict=True)),
            "weights": dict(zip(tasks, weights, strict=True)) if self.weighted_steps else None,
            **dict(zip(SPECTRUM, spectrum if self.gramian_steps else [None] * 3, strict=True)),
            "solver_statuses": dict(self.statuses),
            "steps": self.steps,
            "samples": self.samples,
            "train_seconds": self.seconds,
        }


def _spectra(gramians: Tensor) -> Tensor:
    """Of Gramians ``[N, K, K]`` the extreme eigenvalues and the cosine of the two gradients that conflict most."""
    eigenvalues = torch.linalg.eigvalsh(gramians)  # [N, K], ascending
    length = gramians.diagonal(dim1=-2, dim2=-1).sqrt()
    cosines = (gramians / (length[:, :, None] * length[:, None])).nan_to_num(nan=0.0)
    cosines.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    return torch.stack([eigenvalues[:, 0], eigenvalues[:, -1], cosines.amin(dim=(-2, -1))], dim=1)  # [N, 3]
