"""Train one method on QM9: ``python -m experiments.qm9.train method=nash_mtl seed=0``; ``-m`` for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from experiments.common import parallel
from experiments.common.config import command, make_method
from experiments.common.interruption import uninterrupted
from experiments.common.launch import carry_out, prepare_device, train_problem
from experiments.common.metrics import delta_m
from experiments.common.parallel import share
from experiments.common.progress import tell
from experiments.common.reference import reference_values
from experiments.common.selection import at_epoch
from experiments.qm9.batches import evaluation_order, training_order
from experiments.qm9.config import ModelConfig, QM9Config, checked
from experiments.qm9.data import QM9Data, load_data
from experiments.qm9.metrics import METRICS, reported_errors
from experiments.qm9.model import DenseNetwork

_EVALUATION_BATCH = 1000
_GPU_GROUPS = 4


class QM9Problem:
    """QM9 as the training loop sees it: eleven mean squared errors of standardised targets."""

    splits = ("validation", "test")
    keeps_best = True

    def __init__(self, config: QM9Config, data: QM9Data, reference: Sequence[float], device: torch.device) -> None:
        self.tasks = [metric.name for metric in METRICS]
        self.config, self.data, self.reference = config, data, reference
        self.main_task = config.method.get("main_task")
        self.groups = _padding_groups(config.trainer.groups, device)
        torch.manual_seed(config.seed)
        self.model = _network(config.model).to(device)
        self.device = device

    def batches(self, epoch: int) -> list[Tensor]:
        return training_order(self.data.splits["train"], self.config.trainer.batch_size, self.config.seed, epoch)

    def losses(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        part, factor = share(len(indices))
        error, representation = self._error(indices[part])
        return factor * error.square().mean(dim=0), representation

    def evaluate(self, split: str) -> dict[str, float]:
        indices = self.data.splits[split]
        total = torch.zeros(len(METRICS), dtype=torch.float64, device=self.data.dense.targets.device)
        parts = list(evaluation_order(indices, self.data.dense.size, _EVALUATION_BATCH))
        for part in uninterrupted(parts[parallel.rank() :: parallel.size()]):
            total += self._error(part)[0].abs().double().sum(dim=0)
        errors = reported_errors(parallel.total(total) / len(indices), self.data.std)
        if self.main_task is not None:
            name = self.tasks[self.main_task]
            return {name: errors[name]}
        directions = [metric.higher_is_better for metric in METRICS]
        return {**errors, "delta_m": delta_m(list(errors.values()), self.reference, directions)}

    def _error(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions less targets ``[B, 11]``, standardised, and the representation."""
        if self.config.model.network == "reference":  # in the order given, and slow: graphs are made one by one
            from experiments.qm9.graphs import graph_batch

            predictions, representation = self.model(graph_batch(self.data.molecules, indices).to(self.device))
            return predictions - self.data.dense.targets[indices.to(self.device)], representation
        batch = self.data.dense.batch(indices, self.groups)  # in an order of its own
        predictions, representation = self.model(batch)
        return predictions - batch.targets, representation

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        """Validation Δm, or the error itself where only one target is trained."""
        return metrics["validation"]["delta_m" if self.main_task is None else self.tasks[self.main_task]]

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        return at_epoch(entries, best_epoch)

    def describe_score(self, score: float) -> str:
        if self.main_task is None:
            return f"validation Δm {score:.1f} %"
        return f"validation {self.tasks[self.main_task]} {score:.4g} {METRICS[self.main_task].unit}"


def train(config: QM9Config) -> dict[str, Any]:
    """Carry out one run (for STL without a main task: eleven) and return its record."""
    return carry_out(config, len(METRICS), _run)


def _run(config: QM9Config, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    device = prepare_device(config.run)
    method = make_method(config, len(METRICS), device)
    # A single-task run has no Δm; it is what a reference of one's own is made of.
    kind = config.report.reference if config.method.get("main_task") is None else "published"
    reference = reference_values("qm9", kind, METRICS, folder, settings)
    with parallel.first_goes_ahead():
        data = load_data(config.data, config.seed, device)
    if config.run.progress and parallel.is_first():
        sizes = ", ".join(f"{len(indices):,} {split}" for split, indices in data.splits.items())
        tell(f"QM9 ({config.data.source}, {config.data.root}): {sizes} molecules; {folder} on {device}")
    return train_problem(
        QM9Problem(config, data, list(reference.values()), device),
        method,
        partial(ReduceLROnPlateau, **asdict(config.schedule)),
        config=config,
        settings=settings,
        folder=folder,
        data=data.provenance,
        device=device,
        reference=reference if config.method.get("main_task") is None else None,
    )


def _network(config: ModelConfig) -> DenseNetwork:
    if config.network == "reference":
        from experiments.qm9.reference import ReferenceNetwork  # PyTorch Geometric takes seconds to import

        return ReferenceNetwork(len(METRICS), config.dim, config.edge_hidden)
    return DenseNetwork(len(METRICS), config.dim, config.edge_hidden)


def _padding_groups(setting: str, device: torch.device) -> int | None:
    if setting == "auto":
        return _GPU_GROUPS if device.type == "cuda" else None
    return None if setting == "exact" else int(setting)


@command("qm9/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(checked(config))


if __name__ == "__main__":
    main()
