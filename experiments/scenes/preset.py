"""Which preset suits what is here: ``paper`` where there are real data and a GPU, else ``quick``."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from experiments.scenes.data import find_store
from experiments.scenes.scene_set import SceneSet


def suitable_preset(scenes: SceneSet, arguments: Sequence[str]) -> str:
    """``arguments`` are those of the trainer; ``data.root``, ``data.source`` and ``run.device`` count."""
    settings = dict(argument.partition("=")[::2] for argument in arguments)
    rendered = settings.get("data.source") == scenes.rendering.name
    real = not rendered and find_store(scenes, settings.get("data.root")) is not None
    gpu = torch.cuda.is_available() and not settings.get("run.device", "auto").startswith("cpu")
    return "paper" if real and gpu else "quick"
