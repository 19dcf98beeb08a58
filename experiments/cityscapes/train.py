"""Train one method on Cityscapes: ``python -m experiments.cityscapes.train method=nash_mtl``; ``-m`` for several."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from experiments.cityscapes.config import checked
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.config import command
from experiments.scenes.config import SceneConfig
from experiments.scenes.problem import train_on


def train(config: SceneConfig) -> dict[str, Any]:
    """Carry out one run (for STL without a main task: one a task) and return its record."""
    return train_on(CITYSCAPES, config)


@command("cityscapes/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(checked(config))


if __name__ == "__main__":
    main()
