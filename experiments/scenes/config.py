"""Schema of the configurations of scene understanding; values in ``configs/nyuv2`` and ``configs/cityscapes``."""

from __future__ import annotations

from dataclasses import dataclass, field

from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.common.config import SupervisedConfig, TrainerConfig, check_keys, check_supervised, require
from experiments.scenes.accelerate import AUTOCAST, COMPILE, SpeedConfig
from experiments.scenes.data import find_store
from experiments.scenes.metrics import PROTOCOLS
from experiments.scenes.model import NETWORKS
from experiments.scenes.scene_set import SceneSet


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
class SceneTrainerConfig(TrainerConfig):
    """``metrics``: per batch as the paper, or exact; ``last_epochs``: how many the reported mean takes."""

    metrics: str = MISSING
    last_epochs: int = MISSING


@dataclass
class ScheduleConfig:
    """The learning rate is multiplied by ``factor`` every ``step`` epochs."""

    step: int = MISSING
    factor: float = MISSING


@dataclass
class SceneConfig(SupervisedConfig):
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: SceneTrainerConfig = field(default_factory=SceneTrainerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)


def checked_for(scenes: SceneSet, config: DictConfig) -> SceneConfig:
    """The configuration of a run on ``scenes``; raises :class:`UserError` for a value that cannot be run.

    Where there is no store, the source "auto" becomes the rendering: a run on rendered frames has a name of its own,
    and the same command trains anew once there is real data.
    """
    check_keys(config, SceneConfig())
    result = OmegaConf.to_object(config)
    assert isinstance(result, SceneConfig)
    check_supervised(result)
    for setting, value, choices in (
        ("data.source", result.data.source, scenes.sources),
        ("model.network", result.model.network, NETWORKS),
        ("model.attention", result.model.attention, ("shared", "task_specific")),
        ("trainer.metrics", result.trainer.metrics, PROTOCOLS),
        ("speed.autocast", result.speed.autocast, AUTOCAST),
        ("speed.compile", result.speed.compile, COMPILE),
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
    tasks = scenes.tasks
    expected = f"null or 0 to {len(tasks) - 1} ({', '.join(tasks)})"
    require(task is None or (isinstance(task, int) and 0 <= task < len(tasks)), "method.main_task", task, expected)
    if result.data.source == "auto" and find_store(scenes, result.data.root) is None:
        result.data.source = scenes.rendering.name
    return result
