"""What tells one benchmark of scene understanding from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from experiments.common.metrics import Metric
from experiments.scenes.arrays import Arrays
from experiments.scenes.frames import Camera


class NormalFit(NamedTuple):
    """How normals come from depth where a source has none: the function, and what a record says about it."""

    fit: Callable[[Tensor, Camera], Tensor]  # depth [N, H, W] in metres to normals [N, 3, H, W]
    recipe: dict[str, Any]


@dataclass(frozen=True)
class Rendering:
    """The synthetic stand-in for a set that is not there."""

    name: str  # of ``data.source``, such as "rooms"
    root: Path  # where it is kept
    version: int  # raised whenever a frame's numbers change
    render: Callable[[np.random.Generator, tuple[int, int]], Arrays]  # one frame of a size, without the frame axis
    camera: Callable[[tuple[int, int]], Camera]  # at a size
    counts: tuple[int, int]  # of training and test, where the configuration wants all


@dataclass(frozen=True)
class SceneSet:
    """A set of pictures with labels and depth or inverse depth, perhaps normals."""

    name: str  # as in records and configurations
    title: str
    classes: tuple[str, ...]
    metrics: tuple[Metric, ...]  # in the order of the paper's table
    tasks: tuple[str, ...]  # of segnet.TASKS
    size: tuple[int, int]  # rows and columns of MTAN's version, which the paper used
    inverse_depth: bool  # depth is kept, learnt and measured as 1 / depth
    paper_batch: int  # frames in a batch of the paper, over which its protocol of the metrics averages
    rendering: Rendering
    normals: NormalFit | None = None

    @property
    def channels(self) -> dict[str, int]:
        """What a network puts out for each task."""
        every = {"segmentation": len(self.classes), "depth": 1, "normals": 3}
        return {task: every[task] for task in self.tasks}

    @property
    def parts(self) -> tuple[str, ...]:
        """The arrays of a frame."""
        return ("image", "label", "depth") + (("normal",) if "normals" in self.tasks else ())

    @property
    def default_root(self) -> Path:
        return Path("data") / self.name

    @property
    def root_variable(self) -> str:
        """The environment variable that names the store."""
        return f"{self.name.upper()}_ROOT"

    @property
    def sources(self) -> tuple[str, ...]:
        """What ``data.source`` may be."""
        return "auto", "store", self.rendering.name

    @property
    def prepare(self) -> str:
        """The remedy for a store that is missing or damaged, up to its place."""
        return f"run: python scripts/prepare_{self.name}.py --source PATH --out"
