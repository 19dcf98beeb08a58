"""The Cityscapes configuration: its schema, by the name in ``configs/cityscapes/train.yaml``, and its check."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.scenes.config import SceneConfig, checked_for

ConfigStore.instance().store(name="cityscapes_schema", node=SceneConfig)


def checked(config: DictConfig) -> SceneConfig:
    """The configuration as an object; raises :class:`UserError` for a value that cannot be run."""
    return checked_for(CITYSCAPES, config)
