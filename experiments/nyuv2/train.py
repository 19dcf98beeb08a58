"""Train one method on NYUv2: ``python -m experiments.nyuv2.train method=nash_mtl seed=0``; ``-m`` for several."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from experiments.common.config import command
from experiments.nyuv2.config import checked
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.config import SceneConfig
from experiments.scenes.problem import train_on


def train(config: SceneConfig) -> dict[str, Any]:
    """Carry out one run (for STL without a main task: one a task) and return its record."""
    return train_on(NYUV2, config)


@command("nyuv2/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(checked(config))


if __name__ == "__main__":
    main()
