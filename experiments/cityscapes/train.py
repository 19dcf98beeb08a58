"""Train one method on Cityscapes: ``python -m experiments.cityscapes.train method=nash_mtl``; ``-m`` for several."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

import experiments.cityscapes.config  # noqa: F401 (registers the schema)
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.config import command
from experiments.scenes.config import checked
from experiments.scenes.problem import train


@command("cityscapes/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(CITYSCAPES, checked(config, CITYSCAPES))


if __name__ == "__main__":
    main()
