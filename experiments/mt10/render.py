"""Frames of the environments, drawn without a display.

From Meta-World's camera ``corner2``, which is mounted upside down; its frames are turned the right way up. MuJoCo
draws through EGL or OSMesa, as :mod:`experiments.mt10.simulator` found them at its import.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from experiments.common.errors import UserError
from experiments.mt10.environments import Environments
from experiments.mt10.scene import Scene, get_scene

CAMERA = "corner2"
_REMEDY = (
    "install a renderer (Debian: apt-get install libegl1, or libosmesa6 for drawing on the CPU) and set "
    "MUJOCO_GL=egl or MUJOCO_GL=osmesa before the program starts"
)


class Camera:
    """Draws frames of ``size`` × ``size`` pixels; a context manager.

    Drawing does not touch the environments: their physics state is copied into a scene of its own.
    Raises :class:`UserError` at the first frame if there is no renderer.
    """

    def __init__(self, environments: Environments, size: int = 480) -> None:
        if size < 1:
            raise UserError(f"the frames' size is {size}; give a positive number of pixels.")
        self._environments = environments
        self._size = size
        self._renderers: dict[str, tuple[Any, Any]] = {}

    def frame(self, seed_index: int = 0, task_index: int = 0) -> np.ndarray:
        """The present state of one environment, ``[size, size, 3]`` uint8."""
        task, goal, physics = self._environments.physics(seed_index, task_index)
        scene = get_scene(task)
        if task not in self._renderers:
            self._renderers[task] = self._open(scene)
        renderer, data = self._renderers[task]
        snapshot = scene.snapshot(goal)
        scene.arrange(snapshot)
        if scene.goal_site is not None:
            scene.goal_site[:] = snapshot.goal_site
        scene.set_physics(data, physics)
        scene.simulator.mujoco.mj_forward(scene.model, data)
        renderer.update_scene(data, camera=CAMERA)
        return np.ascontiguousarray(renderer.render()[::-1, ::-1])

    def close(self) -> None:
        for renderer, _ in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _open(self, scene: Scene) -> tuple[Any, Any]:
        mujoco, model = scene.simulator.mujoco, scene.model
        buffer = model.vis.global_
        buffer.offwidth, buffer.offheight = max(buffer.offwidth, self._size), max(buffer.offheight, self._size)
        try:
            return mujoco.Renderer(model, self._size, self._size), mujoco.MjData(model)
        except Exception as error:  # each library fails in its own way
            setting = os.environ.get("MUJOCO_GL", "not set")
            raise UserError(f"MuJoCo cannot draw here (MUJOCO_GL={setting}: {error}); {_REMEDY}.") from error
