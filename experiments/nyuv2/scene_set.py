"""NYUv2 as a set of scenes: 13 classes, depth in metres, normals (Silberman et al., ECCV 2012)."""

from __future__ import annotations

from pathlib import Path

from experiments.nyuv2.camera import SIZE, camera_at
from experiments.nyuv2.classes import CLASSES
from experiments.nyuv2.metrics import METRICS
from experiments.nyuv2.normals import normals_from_depth, recipe
from experiments.nyuv2.rooms import VERSION, render
from experiments.scenes.manifest import DepthCode
from experiments.scenes.scene_set import NormalFit, Rendering, SceneSet
from experiments.scenes.segnet import TASKS

MILLIMETRES = DepthCode(step=0.001)

NYUV2 = SceneSet(
    name="nyuv2",
    title="NYUv2",
    classes=CLASSES,
    metrics=METRICS,
    tasks=TASKS,
    size=SIZE,
    inverse_depth=False,
    paper_batch=2,
    rendering=Rendering(
        name="rooms",
        root=Path("data/rendered_rooms"),
        version=VERSION,
        render=render,
        camera=camera_at,
        counts=(200, 50),
    ),
    normals=NormalFit(normals_from_depth, recipe()),
)
