"""Cityscapes as a set of scenes: seven classes and inverse depth (Cordts et al., CVPR 2016)."""

from __future__ import annotations

from pathlib import Path

from experiments.cityscapes.camera import SIZE, camera_at
from experiments.cityscapes.classes import CLASSES
from experiments.cityscapes.metrics import METRICS
from experiments.cityscapes.streets import VERSION, render
from experiments.scenes.scene_set import Rendering, SceneSet

CITYSCAPES = SceneSet(
    name="cityscapes",
    title="Cityscapes",
    classes=CLASSES,
    metrics=METRICS,
    tasks=("segmentation", "depth"),
    size=SIZE,
    inverse_depth=True,
    paper_batch=8,
    rendering=Rendering(
        name="streets",
        root=Path("data/rendered_streets"),
        version=VERSION,
        render=render,
        camera=camera_at,
        counts=(200, 50),
    ),
)
