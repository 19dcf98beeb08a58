"""A ray caster for boxes and balls within a large box, in numpy: where each ray ends, and what it sees there.

World axes: x and z along the walls of the large box, y up; its floor is y = 0. Boxes may turn about y
only. Rays are given with a forward component of 1, so that the length of a ray is the depth of what it hits.

Letters in shapes: R rays, K boxes, S balls.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from experiments.scenes.frames import Camera

_CHUNK = 4096  # rays at a time: what lies in the processor's cache


@dataclass(frozen=True)
class Surface:
    """How a body looks: a pattern of two colours over coordinates in metres."""

    colour: tuple[float, float, float]  # linear, 0..1
    second: tuple[float, float, float]
    pattern: str = "plain"  # see textures.PATTERNS
    scale: float = 0.3  # metres
    glow: float = 0.0  # light of its own, of windows and screens


@dataclass
class Scene:
    """A room [0, width] x [0, height] x [0, depth], seen from inside, and the bodies in it."""

    room: np.ndarray  # [3]: width, height, depth in metres
    surfaces: list[Surface]  # floor, ceiling, walls, then one a body in the order of ``bodies``
    room_labels: tuple[int, int, int]  # of floor, ceiling, walls
    centre: list[np.ndarray] = field(default_factory=list)  # [3] a box
    half: list[np.ndarray] = field(default_factory=list)  # [3] a box
    yaw: list[float] = field(default_factory=list)
    ball_centre: list[np.ndarray] = field(default_factory=list)
    ball_radius: list[float] = field(default_factory=list)
    box_label: list[int] = field(default_factory=list)
    ball_label: list[int] = field(default_factory=list)
    box_surface: list[int] = field(default_factory=list)  # places in ``surfaces``
    ball_surface: list[int] = field(default_factory=list)
    light: np.ndarray = field(default_factory=lambda: np.zeros(3))  # [3], where the lamp hangs, or the sun stands

    def add_box(
        self, centre: np.ndarray, half: tuple[float, float, float], yaw: float, label: int, surface: Surface
    ) -> None:
        self.centre.append(np.asarray(centre, np.float64))
        self.half.append(np.asarray(half, np.float64))
        self.yaw.append(yaw)
        self.box_label.append(label)
        self.box_surface.append(len(self.surfaces))
        self.surfaces.append(surface)

    def add_ball(self, centre: np.ndarray, radius: float, label: int, surface: Surface) -> None:
        self.ball_centre.append(np.asarray(centre, np.float64))
        self.ball_radius.append(radius)
        self.ball_label.append(label)
        self.ball_surface.append(len(self.surfaces))
        self.surfaces.append(surface)


@dataclass(frozen=True)
class Hits:
    """What rays see first."""

    length: np.ndarray  # [R], in lengths of the ray's direction
    label: np.ndarray  # [R], int8
    normal: np.ndarray  # [R, 3], world axes, towards the side that the ray comes from
    surface: np.ndarray  # [R], int
    place: np.ndarray  # [R, 2], metres along the two axes of the face
    point: np.ndarray  # [R, 3], world axes


def cast(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> Hits:
    """First hits of rays from ``origin`` [3] along ``directions`` [R, 3]."""
    directions = directions.astype(np.float32)
    parts = [_room(scene, origin, directions)]
    if scene.centre:
        parts.append(_boxes(scene, origin, directions))
    if scene.ball_centre:
        parts.append(_balls(scene, origin, directions))
    nearest = np.argmin([part.length for part in parts], axis=0)  # [R]

    def chosen(name: str) -> np.ndarray:
        values = [getattr(part, name) for part in parts]
        result = values[0].copy()
        for number, value in enumerate(values[1:], 1):
            result[nearest == number] = value[nearest == number]
        return result

    return Hits(**{name: chosen(name) for name in Hits.__dataclass_fields__})


def blocked(scene: Scene, points: np.ndarray, target: np.ndarray, share: float = 0.99) -> np.ndarray:
    """Whether a box or ball stands between ``points`` [R, 3] and ``target`` [3]: [R], bool.

    Bodies beyond ``share`` of the way from the target are not seen: they would be the point's own.
    """
    # From the target, so that all rays have one origin, as from the camera.
    directions = (points - target).astype(np.float32)
    length = np.full(len(points), np.inf, np.float32)
    if scene.centre:
        length = np.minimum(length, _box_lengths(scene, target, directions)[0])
    if scene.ball_centre:
        length = np.minimum(length, _ball_lengths(scene, target, directions)[0])
    return length < share


def camera_directions(camera: Camera, axes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Rays [R, 3] through the pixels of ``size``, row by row; ``axes`` [3, 3]: the camera's right, up and forward."""
    rays = camera.rays(*size).double().numpy().reshape(3, -1)  # right, down, forward
    return rays.T @ (axes * np.array([[1], [-1], [1]]))


def _room(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> Hits:
    safe = np.where(np.abs(directions) < 1e-6, 1e-6, directions)
    ends = np.where(safe > 0, scene.room - origin, -origin) / safe  # [R, 3]
    axis = ends.argmin(1)
    length = np.take_along_axis(ends, axis[:, None], 1)[:, 0]
    sign = -np.sign(np.take_along_axis(safe, axis[:, None], 1)[:, 0])
    normal = np.zeros_like(safe)
    np.put_along_axis(normal, axis[:, None], sign[:, None], 1)
    surface = np.where(axis == 1, np.where(sign > 0, 0, 1), 2)
    label = np.array(scene.room_labels, np.int8)[surface]
    point = origin + length[:, None] * directions
    place = _face(point, axis)
    return Hits(length.astype(np.float32), label, normal, surface, place, point)


def _boxes(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> Hits:
    length, box = _box_lengths(scene, origin, directions)
    reached = np.where(np.isfinite(length), length, 0)
    point = origin + reached[:, None] * directions
    centre, half = np.array(scene.centre)[box], np.array(scene.half)[box]
    turn = np.array(scene.yaw)[box]
    local = _turned(point - centre, turn)
    axis = (np.abs(local) / half).argmax(1)
    normal = np.zeros_like(local)
    np.put_along_axis(normal, axis[:, None], np.sign(np.take_along_axis(local, axis[:, None], 1)), 1)
    return Hits(
        length,
        np.array(scene.box_label, np.int8)[box],
        _turned(normal, -turn),
        np.array(scene.box_surface)[box],
        _face(local, axis),
        point,
    )


def _box_lengths(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Length [R] to the first box, infinite where there is none, and which box [R]."""
    yaw, half = np.array(scene.yaw), np.array(scene.half, np.float32)
    start = _turned(origin - np.array(scene.centre), yaw).astype(np.float32)  # [K, 3]
    cos, sin = np.cos(yaw).astype(np.float32)[:, None], np.sin(yaw).astype(np.float32)[:, None]
    length, box = np.empty(len(directions), np.float32), np.empty(len(directions), np.int64)
    for first in range(0, len(directions), _CHUNK):
        x, y, z = directions[first : first + _CHUNK].T  # [R] each
        near, far = np.full((1, 1), 1e-4, np.float32), np.full((1, 1), np.inf, np.float32)
        for axis, along in enumerate((cos * x - sin * z, np.broadcast_to(y, (1, len(y))), sin * x + cos * z)):
            slope = 1 / np.where(np.abs(along) < 1e-7, np.float32(1e-7), along)  # [K, R]
            middle = -start[:, axis, None] * slope
            reach = half[:, axis, None] * np.abs(slope)
            near, far = np.maximum(near, middle - reach), np.minimum(far, middle + reach)
        distance = np.where(near < far, near, np.float32(np.inf))
        distance[np.broadcast_to(near <= 1e-4, distance.shape)] = np.inf  # begun inside
        box[first : first + _CHUNK] = distance.argmin(0)
        length[first : first + _CHUNK] = distance.min(0)
    return length, box


def _balls(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> Hits:
    length, ball = _ball_lengths(scene, origin, directions)
    reached = np.where(np.isfinite(length), length, 0)
    point = origin + reached[:, None] * directions
    radius = np.array(scene.ball_radius)[ball]
    normal = (point - np.array(scene.ball_centre)[ball]) / radius[:, None]
    place = (
        np.stack([np.arctan2(normal[:, 2], normal[:, 0]), np.arcsin(normal[:, 1].clip(-1, 1))], 1) * radius[:, None]
    )
    label, surface = np.array(scene.ball_label, np.int8)[ball], np.array(scene.ball_surface)[ball]
    return Hits(length, label, normal, surface, place, point)


def _ball_lengths(scene: Scene, origin: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    to_centre = np.array(scene.ball_centre) - origin  # [S, 3]
    square = (directions.astype(np.float64) ** 2).sum(1)  # [R]
    along = to_centre @ directions.T / square  # [S, R]
    left = np.array(scene.ball_radius)[:, None] ** 2 - (to_centre**2).sum(1)[:, None] + along**2 * square
    length = np.where(left > 0, along - np.sqrt(left.clip(0) / square), np.inf)
    length[length < 1e-4] = np.inf
    return length.min(0).astype(np.float32), length.argmin(0)


def _turned(vectors: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """World vectors [..., 3] in the axes of boxes that are turned by ``yaw``; by ``-yaw``, the way back."""
    cos, sin = np.cos(yaw), np.sin(yaw)
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], -1)


def _face(point: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """The two coordinates [R, 2] other than ``axis``; height, where it is one of them, comes second."""
    first = np.where(axis == 0, point[:, 2], point[:, 0])
    second = np.where(axis == 1, point[:, 2], point[:, 1])
    return np.stack([first, second], 1)
