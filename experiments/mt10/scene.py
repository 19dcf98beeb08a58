"""A task's scene: Meta-World's own environment of the task, and a snapshot of it after a reset to each goal.

A reset of Meta-World moves the hand into place by 500 physics steps, twice over, and takes as long as about 26 steps
of its environment; what it leaves behind depends on the goal alone. So each goal is reset once, by Meta-World, and
what it left is kept: the physics state, the place of the scene's furniture, the first observation, and what rewards
refer to (:class:`Start`). One scene serves all environments of its task in a process: a compiled model takes 20 MB.
"""

from __future__ import annotations

import functools
import pickle  # writes the form in which Meta-World takes a task; nothing is read
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.mt10.goals import goal_vectors
from experiments.mt10.observations import FRAME_SIZE
from experiments.mt10.readings import Point, Start
from experiments.mt10.simulator import Simulator, load_simulator

# The body that a reset moves in the model itself, rather than in the state.
_FURNITURE = {
    "door-open": "door",
    "drawer-open": "drawer",
    "drawer-close": "drawer",
    "button-press-topdown": "box",
    "peg-insert-side": "box",
    "window-open": "window",
    "window-close": "window",
}

# The attribute that holds the distance of the task's v1 reward.
_DISTANCE = {
    "reach": "maxReachDist",
    "push": "maxPushDist",
    "pick-place": "maxPlacingDist",
    "door-open": "maxPullDist",
    "drawer-open": "maxDist",
    "drawer-close": "maxDist",
    "button-press-topdown": "maxDist",
    "peg-insert-side": "maxPlacingDist",
    "window-open": "maxPullDist",
    "window-close": "maxPullDist",
}


@dataclass(frozen=True)
class Snapshot:
    """What a reset leaves behind.

    ``physics``: MuJoCo's integration state. ``furniture``, ``goal_site``: positions ``[3]`` that the reset wrote into
    the model. ``observation`` ``[39]``: as the reset returns it. ``clipped`` ``[39]``: the same within the bounds of
    the observation space, which Meta-World applies in steps but not in resets.
    """

    physics: np.ndarray
    furniture: np.ndarray | None
    goal_site: np.ndarray | None
    observation: np.ndarray
    clipped: np.ndarray
    start: Start


class Scene:
    """Meta-World's environment of ``task``, used for resets only; see :func:`get_scene`."""

    def __init__(self, task: str) -> None:
        self.task = task
        self.simulator: Simulator = load_simulator()
        self.environment = self.simulator.classes[task]()
        self.model = self.environment.model
        mujoco = self.simulator.mujoco
        self.signature = mujoco.mjtState.mjSTATE_INTEGRATION
        self.state_size = mujoco.mj_stateSize(self.model, self.signature)
        name = _FURNITURE.get(task)
        self.furniture = None if name is None else self.model.body_pos[self.model.body(name).id]
        self.goal_site = None if task == "button-press-topdown" else self.model.site_pos[self.model.site("goal").id]
        self._snapshots: dict[bytes, Snapshot] = {}

    def goals(self, seed: int, number: int) -> np.ndarray:
        return goal_vectors(self.task, seed, number, self.environment._random_reset_space)

    def snapshot(self, goal: np.ndarray) -> Snapshot:
        """The scene after a reset to ``goal`` (a row of :meth:`goals`); the first time about 10 ms."""
        key = goal.tobytes()
        if key not in self._snapshots:
            self._snapshots[key] = self._take(goal)
        return self._snapshots[key]

    def arrange(self, snapshot: Snapshot) -> None:
        """Put the model's furniture where the snapshot has it."""
        if self.furniture is not None:
            self.furniture[:] = snapshot.furniture

    def physics(self, data: Any) -> np.ndarray:
        state = np.empty(self.state_size)
        self.simulator.mujoco.mj_getState(self.model, data, state, self.signature)
        return state

    def set_physics(self, data: Any, state: np.ndarray) -> None:
        self.simulator.mujoco.mj_setState(self.model, data, state, self.signature)

    def _take(self, goal: np.ndarray) -> Snapshot:
        environment = self.environment
        observation = reset_to(self.simulator, environment, goal)
        space = environment.sawyer_observation_space
        return Snapshot(
            physics=self.physics(environment.data),
            furniture=None if self.furniture is None else self.furniture.copy(),
            goal_site=None if self.goal_site is None else self.goal_site.copy(),
            observation=observation,
            clipped=np.clip(observation, space.low, space.high),
            start=self._start(),
        )

    def _start(self) -> Start:
        environment = self.environment
        boxes: tuple[tuple[Point, Point], ...] = ()
        if self.task == "peg-insert-side":
            # The box stands still but has just been moved: its corners are known after the kinematics.
            self.simulator.mujoco.mj_kinematics(self.model, environment.data)
            boxes = tuple(
                (
                    _point(environment._get_site_pos(f"bottom_right_corner_collision_box_{i}")),
                    _point(environment._get_site_pos(f"top_left_corner_collision_box_{i}")),
                )
                for i in (1, 2)
            )
        return Start(
            target=_point(environment._target_pos),
            object=_point(environment.obj_init_pos),
            hand=_point(environment.hand_init_pos),
            fingers=_point(environment.init_tcp),
            object_height=float(getattr(environment, "objHeight", 0.0)),
            lift_height=float(getattr(environment, "heightTarget", 0.0)),
            distance=float(getattr(environment, _DISTANCE[self.task])),
            button_travel=float(getattr(environment, "_obj_to_target_init", 0.0)),
            peg_head=_point(getattr(environment, "peg_head_pos_init", (0.0, 0.0, 0.0))),
            window_handle=_point(getattr(environment, "window_handle_pos_init", (0.0, 0.0, 0.0))),
            boxes=boxes,
        )


@functools.cache
def get_scene(task: str) -> Scene:
    """The process's scene of that task, compiled at the first call (about 0.2 s)."""
    return Scene(task)


def reset_to(simulator: Simulator, environment: Any, goal: np.ndarray) -> np.ndarray:
    """Reset Meta-World's ``environment`` to ``goal``, with the goal in its observation ``[39]``."""
    description = {"rand_vec": goal, "env_cls": type(environment), "partially_observable": False}
    environment.set_task(simulator.metaworld.types.Task(environment.task_name, pickle.dumps(description)))
    observation, _ = environment.reset()
    assert (observation[:FRAME_SIZE] == observation[FRAME_SIZE : 2 * FRAME_SIZE]).all()
    return observation


def _point(values: Any) -> Point:
    x, y, z = (float(value) for value in values)
    return x, y, z
