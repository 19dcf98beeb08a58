"""The name under which ``configs/nyuv2/train.yaml`` finds its schema."""

from __future__ import annotations

from hydra.core.config_store import ConfigStore

from experiments.scenes.config import SceneConfig

ConfigStore.instance().store(name="nyuv2_schema", node=SceneConfig)
