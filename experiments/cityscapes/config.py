"""The name under which ``configs/cityscapes/train.yaml`` finds its schema."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from experiments.scenes.config import SceneConfig

ConfigStore.instance().store(name="cityscapes_schema", node=SceneConfig)
