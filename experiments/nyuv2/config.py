"""The NYUv2 configuration: its schema, by the name in ``configs/nyuv2/train.yaml``, and its check."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.config import SceneConfig, checked_for

ConfigStore.instance().store(name="nyuv2_schema", node=SceneConfig)


def checked(config: DictConfig) -> SceneConfig:
    """The configuration as an object; raises :class:`UserError` for a value that cannot be run."""
    return checked_for(NYUV2, config)
