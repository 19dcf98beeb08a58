"""The lean backend: Meta-World's physics, step by step the same, with little around it.

Of a stock step a quarter is physics; the rest looks up bodies by name, builds rotations, stacks small arrays and
fills an ``info`` that training does not read. Here the places in MuJoCo's memory are looked up once, and rewards and
success are computed from plain numbers (:mod:`experiments.mt10.rewards_v1`, :mod:`experiments.mt10.rewards_v2`). The
simulator gets the same calls in the same order: the trailing ``mj_forward`` of a stock step is kept, though only
its kinematics are read, because it leaves the accelerations from which the next step's contact solver starts. Three
tasks whose only movable part slides on a rail do without: there the solver finds the same solution to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from math import dist, sqrt
from typing import Any

import numpy as np

from experiments.mt10 import rewards_v1, rewards_v2
from experiments.mt10.observations import FRAME_SIZE
from experiments.mt10.readings import Reading
from experiments.mt10.scene import Scene, Snapshot, get_scene

_REWARDS = {"v1": rewards_v1.REWARDS, "v2": rewards_v2.REWARDS}
_SUBSTEPS = 5
_ACTION_SCALE = 1.0 / 100  # metres of the hand's target
_LOW, _HIGH = (-0.5, 0.4, 0.05), (0.5, 1.0, 0.5)  # of the hand's target, all ten tasks
_HAND_LOW, _HAND_HIGH = (-0.525, 0.348, -0.0525), (0.525, 1.025, 0.7)  # of the observed hand
_OPEN = 0.1  # distance of the claws at which the gripper counts as open (metres)

# Tasks whose step ends with the kinematics alone: those that would otherwise make about 2.5 times the stock steps a
# second or less. Beside the full ending, observations differ by at most 2e-11 and v2 rewards by 1e-9 over 48 episodes
# of each (random, held and scripted actions); with loose objects by 1e-3.
_ON_RAILS = ("button-press-topdown", "window-open", "window-close")

# The object of each task: kind and name of what is observed, an offset, and where its quaternion comes from.
_OBJECTS: dict[str, tuple[str, str, tuple[float, float, float], tuple[str, str] | None]] = {
    "reach": ("body", "obj", (0.0, 0.0, 0.0), ("geom", "objGeom")),
    "push": ("body", "obj", (0.0, 0.0, 0.0), ("geom", "objGeom")),
    "pick-place": ("body", "obj", (0.0, 0.0, 0.0), ("geom", "objGeom")),
    "door-open": ("geom", "handle", (0.0, 0.0, 0.0), ("geom", "handle")),
    "drawer-open": ("body", "drawer_link", (0.0, -0.16, 0.0), ("body", "drawer_link")),
    "drawer-close": ("body", "drawer_link", (0.0, -0.16, 0.05), None),
    "button-press-topdown": ("body", "button", (0.0, 0.0, 0.193), ("body", "button")),
    "peg-insert-side": ("site", "pegGrasp", (0.0, 0.0, 0.0), ("site", "pegGrasp")),
    "window-open": ("site", "handleOpenStart", (0.0, 0.0, 0.0), None),
    "window-close": ("site", "handleCloseStart", (0.0, 0.0, 0.0), None),
}


class LeanEnvironment:
    """One task of one seed, with the interface of :class:`experiments.mt10.stock.StockEnvironment`.

    Arrays that :meth:`reset` and :meth:`step` return are valid until the next call.
    """

    def __init__(self, task: str, goals: np.ndarray, reward_version: str) -> None:
        self.goals = goals
        self._task = task
        self._scene: Scene = get_scene(task)
        self._make_reward = _REWARDS[reward_version][task]
        mujoco, model = self._scene.simulator.mujoco, self._scene.model
        self._model, self._data = model, mujoco.MjData(model)
        self._mj_step = mujoco.mj_step
        self._mj_finish = mujoco.mj_kinematics if task in _ON_RAILS else mujoco.mj_forward
        data = self._data
        self._mocap, self._ctrl = data.mocap_pos[0], data.ctrl
        self._hand = data.xpos[model.body("hand").id]
        self._right_claw, self._left_claw = (data.xpos[model.body(f"{side}claw").id] for side in ("right", "left"))
        self._right_tip, self._left_tip = (
            data.site_xpos[model.site(f"{side}EndEffector").id] for side in ("right", "left")
        )
        self._object = _object_reader(task, model, data)
        self._extra = _extra_reader(task, model, data)
        self._now = Reading()
        self._observation = np.zeros(2 * FRAME_SIZE + 3)
        self._frame = self._observation[:FRAME_SIZE]
        self._previous = self._observation[FRAME_SIZE : 2 * FRAME_SIZE]
        self._seen = self._observation[:11]

    def reset(self, goal: int) -> np.ndarray:
        """Start an episode with that goal; the observation ``[39]``."""
        snapshot = self._begin(goal)
        self._scene.set_physics(self._data, snapshot.physics)
        return snapshot.observation

    def step(self, action: list[float]) -> tuple[np.ndarray, float, bool]:
        """Observation ``[39]``, reward, and success by the v2 definition, after an action of four numbers."""
        x, y, z, grip = action
        mocap, ctrl, now = self._mocap, self._ctrl, self._now
        old_x, old_y, old_z = mocap.tolist()
        mocap[0] = min(max(old_x + x * _ACTION_SCALE, _LOW[0]), _HIGH[0])
        mocap[1] = min(max(old_y + y * _ACTION_SCALE, _LOW[1]), _HIGH[1])
        mocap[2] = min(max(old_z + z * _ACTION_SCALE, _LOW[2]), _HIGH[2])
        ctrl[0], ctrl[1] = grip, -grip
        self._scene.arrange(self._snapshot)  # other environments of this task share the model
        self._mj_step(self._model, self._data, _SUBSTEPS)
        self._mj_finish(self._model, self._data)

        hand_x, hand_y, hand_z = self._hand.tolist()
        hand_x = min(max(hand_x, _HAND_LOW[0]), _HAND_HIGH[0])
        hand_y = min(max(hand_y, _HAND_LOW[1]), _HAND_HIGH[1])
        hand_z = min(max(hand_z, _HAND_LOW[2]), _HAND_HIGH[2])
        opening = min(dist(self._right_claw.tolist(), self._left_claw.tolist()) / _OPEN, 1.0)
        position, quaternion = self._object()
        self._previous[:] = self._frame
        self._seen[:] = (hand_x, hand_y, hand_z, opening, *position, *quaternion)

        right_x, right_y, right_z = self._right_tip.tolist()
        left_x, left_y, left_z = self._left_tip.tolist()
        now.hand, now.opening, now.object, now.grip = (hand_x, hand_y, hand_z), opening, position, grip
        now.fingers = ((right_x + left_x) / 2.0, (right_y + left_y) / 2.0, (right_z + left_z) / 2.0)
        self._extra(now)
        return self._observation, self._reward(now), self._success(now)

    def get_state(self) -> tuple[np.ndarray, np.ndarray]:
        """The physics state and the last frame ``[18]``."""
        return self._scene.physics(self._data), self._frame.copy()

    def set_state(self, goal: int, physics: np.ndarray, frame: np.ndarray, steps: int) -> None:
        """Go to a state of :meth:`get_state`, ``steps`` steps after a reset to ``goal``."""
        self._begin(goal)
        self._scene.set_physics(self._data, physics)
        self._frame[:] = frame

    def close(self) -> None:
        """Nothing to give back."""

    def _begin(self, goal: int) -> Snapshot:
        self._snapshot = snapshot = self._scene.snapshot(self.goals[goal])
        self._reward = self._make_reward(snapshot.start)
        self._success = rewards_v2.success_criterion(self._task, snapshot.start)
        self._observation[:] = snapshot.clipped
        return snapshot


def _object_reader(task: str, model: Any, data: Any) -> Callable[[], tuple[Any, Any]]:
    """A function that returns the object's position and quaternion, as tuples, after a step."""
    kind, name, offset, orientation = _OBJECTS[task]
    place = _positions(kind, data)[getattr(model, kind)(name).id]
    offset_x, offset_y, offset_z = offset
    no_rotation = (0.0, 0.0, 0.0, 0.0)
    if orientation is None:
        read_rotation = None
    elif orientation[0] == "body":
        read_rotation = data.xquat[model.body(orientation[1]).id].tolist
    else:
        matrices = data.geom_xmat if orientation[0] == "geom" else data.site_xmat
        read_matrix = matrices[getattr(model, orientation[0])(orientation[1]).id].tolist

        def read_rotation() -> Any:
            return quaternion_of(read_matrix())

    def read() -> tuple[Any, Any]:
        x, y, z = place.tolist()
        position = (x + offset_x, y + offset_y, z + offset_z)
        return position, no_rotation if read_rotation is None else read_rotation()

    return read


def _positions(kind: str, data: Any) -> Any:
    return {"body": data.xpos, "geom": data.geom_xpos, "site": data.site_xpos}[kind]


def _extra_reader(task: str, model: Any, data: Any) -> Callable[[Reading], None]:
    """A function that fills in what the task's rewards need beyond the hand and the object."""
    if task == "door-open":
        angle, address = data.qpos, int(model.joint("doorjoint").qposadr[0])

        def read_door(now: Reading) -> None:
            now.door_angle = angle.item(address)

        return read_door
    if task in ("push", "pick-place", "peg-insert-side"):
        left, right = (data.xpos[model.body(f"{side}pad").id] for side in ("left", "right"))
        head = data.site_xpos[model.site("pegHead").id] if task == "peg-insert-side" else None

        def read_pads(now: Reading) -> None:
            now.left_pad_y, now.right_pad_y = left.item(1), right.item(1)
            if head is not None:
                now.peg_head = tuple(head.tolist())

        return read_pads
    return lambda now: None


def quaternion_of(matrix: list[float]) -> tuple[float, float, float, float]:
    """The unit quaternion (x, y, z, w) of a rotation matrix (nine numbers, row by row).

    From the largest of its diagonal and its trace, as scipy's ``Rotation``, whose sign it has.
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = matrix
    trace = xx + yy + zz
    largest = max(xx, yy, zz, trace)
    if xx == largest:
        x, y, z, w = 1 - trace + 2 * xx, yx + xy, zx + xz, zy - yz
    elif yy == largest:
        x, y, z, w = yx + xy, 1 - trace + 2 * yy, zy + yz, xz - zx
    elif zz == largest:
        x, y, z, w = zx + xz, zy + yz, 1 - trace + 2 * zz, yx - xy
    else:
        x, y, z, w = zy - yz, xz - zx, yx - xy, 1 + trace
    length = sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length
