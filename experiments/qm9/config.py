"""Schema of the QM9 configuration; values in ``configs/qm9``."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from experiments.common.config import (
    SupervisedConfig,
    TrainerConfig,
    check_keys,
    check_supervised,
    make_method,
    require,
)
from experiments.qm9.metrics import TARGETS


@dataclass
class DataConfig:
    """``train``, ``validation``, ``test``: molecules in each split; ``train`` null takes all that remain."""

    source: str = "qm9pack"
    root: str = MISSING
    statistics: str = "train"
    train: int | None = None
    validation: int = MISSING
    test: int = MISSING


@dataclass
class ModelConfig:
    network: str = "dense"
    dim: int = MISSING
    edge_hidden: int = MISSING


@dataclass
class QM9TrainerConfig(TrainerConfig):
    """``groups``: padding groups within a batch; auto is exact sizes on a CPU and 4 groups on a GPU."""

    groups: str = "auto"


@dataclass
class ScheduleConfig:
    """ReduceLROnPlateau on the validation score; its threshold is torch's, 1e-4 relative to the best score."""

    factor: float = MISSING
    patience: int = MISSING
    min_lr: float = MISSING


@dataclass
class QM9Config(SupervisedConfig):
    splits = ("validation", "test")

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    trainer: QM9TrainerConfig = field(default_factory=QM9TrainerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)


ConfigStore.instance().store(name="qm9_schema", node=QM9Config)


def checked(config: DictConfig) -> QM9Config:
    """The configuration as an object; raises :class:`UserError` for a value that cannot be run."""
    check_keys(config, QM9Config())
    result = OmegaConf.to_object(config)
    assert isinstance(result, QM9Config)
    check_supervised(result)
    require(result.data.source in ("qm9pack", "pyg"), "data.source", result.data.source, "qm9pack or pyg")
    require(result.data.statistics in ("train", "all"), "data.statistics", result.data.statistics, "train or all")
    for split in ("train", "validation", "test"):
        size = getattr(result.data, split)
        require(size is None or size >= 1, f"data.{split}", size, "at least 1 molecule")
    require(
        result.model.network in ("dense", "reference"), "model.network", result.model.network, "dense or reference"
    )
    require(result.model.dim >= 1, "model.dim", result.model.dim, "at least 1")
    require(result.model.edge_hidden >= 1, "model.edge_hidden", result.model.edge_hidden, "at least 1")
    groups = result.trainer.groups
    expected = "auto, exact, or a number of padding groups"
    number = groups.isdecimal() and int(groups) > 0
    require(groups in ("auto", "exact") or number, "trainer.groups", groups, expected)
    require(0 < result.schedule.factor < 1, "schedule.factor", result.schedule.factor, "between 0 and 1")
    require(result.schedule.patience >= 0, "schedule.patience", result.schedule.patience, "0 or more")
    min_lr = result.schedule.min_lr
    require(0 <= min_lr < float("inf"), "schedule.min_lr", min_lr, "0 or a positive number")
    main_task = result.method.get("main_task")
    require(
        main_task is None or (isinstance(main_task, int) and 0 <= main_task < len(TARGETS)),
        "method.main_task",
        main_task,
        f"null or 0 to {len(TARGETS) - 1} (" + ", ".join(target.metric.name for target in TARGETS) + ")",
    )
    if not (result.method.get("name") == "stl" and main_task is None):  # that is eleven runs, each with its own
        make_method(result, len(TARGETS), torch.device("cpu"))
    return result
