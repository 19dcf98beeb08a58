"""Train one method on NYUv2: ``python -m experiments.nyuv2.train method=nash_mtl seed=0``; ``-m`` for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from experiments.common.config import command, make_method
from experiments.common.launch import carry_out, prepare_device, train_problem
from experiments.common.metrics import delta_m
from experiments.common.reference import reference_values
from experiments.common.selection import mean_of_last
from experiments.nyuv2.augment import augmented, step_generator
from experiments.nyuv2.config import NYUv2Config, checked
from experiments.nyuv2.data import load_frames, test_batches, training_order
from experiments.nyuv2.frames import Frames
from experiments.nyuv2.losses import task_losses
from experiments.nyuv2.metrics import METRICS, SceneMetrics
from experiments.nyuv2.model import make_network
from experiments.nyuv2.segnet import TASKS

_ROOMS = (200, 50)  # rendered for training and test, where there is no data and the configuration wants all
_EVALUATION_BATCH = 2  # also the paper protocol's


class NYUv2Problem:
    """NYUv2 as the training loop sees it: segmentation, depth and normals of indoor frames.

    A single-task run is a SegNet with one head (as in the paper), trained by the method STL on its only task.
    """

    splits = ("test",)  # there is no validation split, and no selection

    def __init__(self, config: NYUv2Config, frames: Frames, reference: Sequence[float], device: torch.device) -> None:
        self.config, self.frames, self.reference, self.device = config, frames, reference, device
        self.tasks = _tasks(config)
        torch.manual_seed(config.seed)
        model = config.model
        network = "segnet" if len(self.tasks) == 1 else model.network
        options = {"attention": model.attention} if network == "mtan" else {}
        self.model = make_network(network, tasks=self.tasks, width=model.width, **options).to(device)

    def batches(self, epoch: int) -> list[tuple[int, int, Tensor]]:
        """Epoch, step and frames of each batch: what the augmentation's random numbers hang on."""
        order = training_order(self.frames, self.config.trainer.batch_size, self.config.seed, epoch)
        return [(epoch, step, positions) for step, positions in enumerate(order)]

    def losses(self, handle: tuple[int, int, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        epoch, step, positions = handle
        batch = self.frames.batch(positions).to(self.device)
        if self.config.data.augment:
            batch = augmented(batch, step_generator(self.config.seed, epoch, step))
        predictions, representation = self.model(batch.image)
        return task_losses(predictions, batch, self.tasks), representation

    def evaluate(self, split: str) -> dict[str, float]:
        metrics = SceneMetrics(self.device, protocol=self.config.trainer.metrics, tasks=self.tasks)
        for batch in test_batches(self.frames, _EVALUATION_BATCH):
            batch = batch.to(self.device)
            metrics.update(self.model(batch.image)[0], batch)
        values = metrics.compute()
        if len(self.tasks) < len(TASKS):
            return values
        directions = [metric.higher_is_better for metric in METRICS]
        return {**values, "delta_m": delta_m([values[m.name] for m in METRICS], self.reference, directions)}

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        """Test Δm or, of a single task, its first metric: shown and recorded; nothing is selected by it."""
        test = metrics["test"]
        return test.get("delta_m", next(iter(test.values())))

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        return mean_of_last(entries, self.config.trainer.last_epochs)

    def describe_score(self, score: float) -> str:
        return f"test Δm {score:.1f} %" if len(self.tasks) == len(TASKS) else f"test {self.tasks[0]} {score:.4g}"


def _tasks(config: NYUv2Config) -> tuple[str, ...]:
    task = config.method.get("main_task")
    return TASKS if task is None else (TASKS[task],)


def train(config: NYUv2Config) -> dict[str, Any]:
    """Carry out one run (for STL without a main task: three) and return its record."""
    return carry_out(config, len(TASKS), _run)


def _run(config: NYUv2Config, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    device = prepare_device(config.run)
    tasks = _tasks(config)
    own = config if len(tasks) > 1 else replace(config, method={**config.method, "main_task": 0})
    method = make_method(own, len(tasks), device)
    kind = config.report.reference if len(tasks) > 1 else "published"
    reference = reference_values("nyuv2", kind, METRICS, Path(config.run.root), settings)
    data = config.data
    rooms = (data.train or _ROOMS[0], data.test or _ROOMS[1])
    size = (data.height, data.width)
    frames = load_frames(data.root, data.source, size, data.train, data.test, rooms, device=device)
    schedule = config.schedule
    return train_problem(
        NYUv2Problem(config, frames, reference, device),
        method,
        partial(StepLR, step_size=schedule.step, gamma=schedule.factor),
        config=config,
        settings=settings,
        folder=folder,
        data={**frames.provenance, "train": len(frames.train), "test": len(frames.test)},
        device=device,
    )


@command("nyuv2/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(checked(config))


if __name__ == "__main__":
    main()
