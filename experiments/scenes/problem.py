"""A run of scene understanding, from its configuration to its record: what the benchmarks' ``train.py`` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from experiments.common import parallel
from experiments.common.batch_norm import set_present
from experiments.common.config import make_method
from experiments.common.interruption import uninterrupted
from experiments.common.launch import carry_out, prepare_device, train_problem
from experiments.common.metrics import delta_m
from experiments.common.reference import reference_values
from experiments.common.selection import mean_of_last
from experiments.common.tracking import Pictures
from experiments.scenes.accelerate import accelerated
from experiments.scenes.augment import augmented, step_generator
from experiments.scenes.config import SceneConfig
from experiments.scenes.data import load_frames, test_batches, training_order
from experiments.scenes.frames import Batch, Frames
from experiments.scenes.losses import task_losses, valid_pixels
from experiments.scenes.metrics import SceneMetrics
from experiments.scenes.model import make_network
from experiments.scenes.mtan import MTAN
from experiments.scenes.scene_set import SceneSet
from experiments.scenes.segnet import SegNet

_LOGGED_PICTURES = 4  # of test frames, at the end of a run with a tracker


class SceneProblem:
    """A set of scenes as the training loop sees it: segmentation, depth and perhaps normals.

    A single-task run is a SegNet with one head (as in the paper), trained by the method STL on its only task.
    """

    splits: Sequence[str] = ("test",)  # there is no validation split, and no selection
    keeps_best = False

    def __init__(
        self,
        scenes: SceneSet,
        config: SceneConfig,
        frames: Frames,
        reference: Sequence[float],
        device: torch.device,
    ) -> None:
        self.scenes, self.config, self.frames = scenes, config, frames
        self.reference, self.device = reference, device
        self.tasks: Sequence[str] = tasks_of(scenes, config)
        torch.manual_seed(config.seed)
        self.model: torch.nn.Module = network_of(scenes, config).to(device)
        self.forward = accelerated(self.model, config.speed, device)

    def batches(self, epoch: int) -> list[tuple[int, int, Tensor]]:
        """Epoch, step and frames of each batch: what the augmentation's random numbers hang on."""
        order = training_order(self.frames, self.config.trainer.batch_size, self.config.seed, epoch)
        return [(epoch, step, positions) for step, positions in enumerate(order)]

    def batch(self, handle: tuple[int, int, Tensor]) -> Batch:
        """The frames of one of :meth:`batches` on the device, augmented as this step of a run has them."""
        epoch, step, positions = handle
        batch = self.frames.batch(positions).to(self.device)
        if not self.config.data.augment:
            return batch
        generator = step_generator(self.config.seed, epoch, step)
        return augmented(batch, generator, inverse_depth=self.scenes.inverse_depth)

    def losses(self, handle: tuple[int, int, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        batch = self.batch(handle)
        if parallel.size() == 1:
            predictions, representation = self.forward(batch.image)
            return task_losses(predictions, batch, self.tasks), representation
        part, factor = parallel.share(len(batch))
        set_present(self.model, factor > 0)
        predictions, representation = self.forward(batch[part].image)
        factors = parallel.factors(valid_pixels(batch[part], self.tasks) * (factor > 0))
        losses = task_losses(predictions, batch[part], self.tasks)
        return [factor * loss for factor, loss in zip(factors, losses, strict=True)], representation

    def evaluate(self, split: str) -> dict[str, float]:
        scenes = self.scenes
        metrics = SceneMetrics(
            self.device,
            n_classes=len(scenes.classes),
            batch_size=scenes.paper_batch,
            protocol=self.config.trainer.metrics,
            tasks=self.tasks,
        )
        for batch in uninterrupted(test_batches(self.frames, scenes.paper_batch)):
            batch = batch.to(self.device)
            metrics.update(self.forward(batch.image)[0], batch)
        values = metrics.compute()
        if self.tasks != scenes.tasks:
            return values
        directions = [metric.higher_is_better for metric in scenes.metrics]
        return {**values, "delta_m": delta_m([values[m.name] for m in scenes.metrics], self.reference, directions)}

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        """Test Δm or, of a single task, its first metric: shown and recorded; nothing is selected by it."""
        test = metrics["test"]
        return test.get("delta_m", next(iter(test.values())))

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        return mean_of_last(entries, self.config.trainer.last_epochs)

    def describe_score(self, score: float) -> str:
        return f"test Δm {score:.1f} %" if self.tasks == self.scenes.tasks else f"test {self.tasks[0]} {score:.4g}"


def tasks_of(scenes: SceneSet, config: SceneConfig) -> tuple[str, ...]:
    """The tasks that a run trains: all, or its main task."""
    task = config.method.get("main_task")
    return scenes.tasks if task is None else (scenes.tasks[task],)


def network_of(scenes: SceneSet, config: SceneConfig) -> SegNet | MTAN:
    """The run's network, with random weights; a SegNet for a single task."""
    tasks = tasks_of(scenes, config)
    network = "segnet" if len(tasks) == 1 else config.model.network
    options = {"attention": config.model.attention} if network == "mtan" else {}
    channels = {task: scenes.channels[task] for task in tasks}
    return make_network(network, channels, width=config.model.width, **options)


def frames_of_run(scenes: SceneSet, config: SceneConfig, device: torch.device | str = "cpu") -> Frames:
    """The frames that a configuration names."""
    data = config.data
    return load_frames(
        scenes, data.root, data.source, (data.height, data.width), data.train, data.test, device=device
    )


def train_on(scenes: SceneSet, config: SceneConfig) -> dict[str, Any]:
    """Carry out one run (for STL without a main task: one a task) and return its record."""
    return carry_out(config, len(scenes.tasks), partial(_run, scenes))


def _run(scenes: SceneSet, config: SceneConfig, settings: dict[str, Any], folder: Path) -> dict[str, Any]:
    device = prepare_device(config.run)
    tasks = tasks_of(scenes, config)
    own = config if len(tasks) > 1 else replace(config, method={**config.method, "main_task": 0})
    method = make_method(own, len(tasks), device)
    kind = config.report.reference if len(tasks) > 1 else "published"
    reference = reference_values(scenes.name, kind, scenes.metrics, folder, settings)
    with parallel.first_goes_ahead():
        frames = frames_of_run(scenes, config, device)
    problem = SceneProblem(scenes, config, frames, list(reference.values()), device)
    schedule = config.schedule
    return train_problem(
        problem,
        method,
        partial(StepLR, step_size=schedule.step, gamma=schedule.factor),
        config=config,
        settings=settings,
        folder=folder,
        data={**frames.provenance, "train": len(frames.train), "test": len(frames.test)},
        device=device,
        reference=reference if len(tasks) > 1 else None,
        pictures=partial(_pictures, problem),
    )


def _pictures(problem: SceneProblem) -> Pictures:
    from experiments.scenes.pictures import test_pictures  # brings matplotlib, which only a tracker needs

    return test_pictures(problem.scenes, problem.model, problem.tasks, problem.frames, _LOGGED_PICTURES)
