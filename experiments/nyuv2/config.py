"""Schema of the NYUv2 configuration; values in ``configs/nyuv2``."""

from __future__ import annotations

from dataclasses import dataclass, field

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.common.config import BaseConfig, TrainerConfig, check_base, check_keys, require
from experiments.nyuv2.data import SOURCES
from experiments.nyuv2.metrics import PROTOCOLS
from experiments.nyuv2.model import NETWORKS
from experiments.nyuv2.segnet import TASKS


@dataclass
class DataConfig:
    """``height`` and ``width`` in pixels, multiples of 32; ``train`` and ``test`` keep so many frames (null: all)."""

    root: str | None = None
    source: str = "auto"
    height: int = MISSING
    width: int = MISSING
    train: int | None = None
    test: int | None = None
    augment: bool = MISSING


@dataclass
class ModelConfig:
    """``width``: factor on the channels; ``attention``: where MTAN's attention modules count."""

    network: str = MISSING
    width: float = MISSING
    attention: str = MISSING


@dataclass
class NYUv2TrainerConfig(TrainerConfig):
    """``metrics``: per batch of 2 as the paper, or exact; ``last_epochs``: how many the reported mean takes."""

    metrics: str = MISSING
    last_epochs: int = MISSING


@dataclass
class ScheduleConfig:
    """The learning rate is multiplied by ``factor`` every ``step`` epochs."""

    step: int = MISSING
    factor: float = MISSING


@dataclass
class NYUv2Config(BaseConfig):
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: NYUv2TrainerConfig = field(default_factory=NYUv2TrainerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)


ConfigStore.instance().store(name="nyuv2_schema", node=NYUv2Config)


def checked(config: DictConfig) -> NYUv2Config:
    """The configuration as an object; raises :class:`UserError` for a value that cannot be run."""
    check_keys(config, NYUv2Config())
    result = OmegaConf.to_object(config)
    assert isinstance(result, NYUv2Config)
    check_base(result)
    for setting, value, choices in (
        ("data.source", result.data.source, SOURCES),
        ("model.network", result.model.network, NETWORKS),
        ("model.attention", result.model.attention, ("shared", "task_specific")),
        ("trainer.metrics", result.trainer.metrics, PROTOCOLS),
    ):
        require(value in choices, setting, value, " or ".join(choices))
    for name in ("height", "width"):
        size = getattr(result.data, name)
        require(size >= 32 and size % 32 == 0, f"data.{name}", size, "a multiple of 32")
    for name in ("train", "test"):
        count = getattr(result.data, name)
        require(count is None or count >= 1, f"data.{name}", count, "at least 1 frame, or null for all")
    require(0 < result.model.width <= 4, "model.width", result.model.width, "a factor between 0 and 4")
    require(result.trainer.last_epochs >= 1, "trainer.last_epochs", result.trainer.last_epochs, "at least 1")
    require(result.schedule.step >= 1, "schedule.step", result.schedule.step, "at least 1 epoch")
    require(0 < result.schedule.factor <= 1, "schedule.factor", result.schedule.factor, "above 0, at most 1")
    task = result.method.get("main_task")
    expected = f"null or 0 to {len(TASKS) - 1} ({', '.join(TASKS)})"
    require(task is None or (isinstance(task, int) and 0 <= task < len(TASKS)), "method.main_task", task, expected)
    return result
