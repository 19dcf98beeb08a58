"""Train one method on NYUv2: ``python -m experiments.nyuv2.train method=nash_mtl seed=0``; ``-m`` for several."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

import experiments.nyuv2.config  # noqa: F401 (registers the schema)
from experiments.common.config import command
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.config import checked
from experiments.scenes.problem import train


@command("nyuv2/train")
def main(config: DictConfig) -> dict[str, Any]:
    return train(NYUV2, checked(config, NYUV2))


if __name__ == "__main__":
    main()
