"""Rendered rooms: a synthetic stand-in for NYUv2 with the same shapes, exact depth and exact normals.

Each frame is a furnished room of its own (:mod:`furnish`), seen by the camera of the real set from a corner of
it at the height of a hand, ray-cast (:mod:`raycast`) with a lamp, shadows and patterns (:mod:`textures`), and given
a camera's exposure and noise. A frame depends on the seed, its split and its number alone. This is for trying things
out where no data is: **figures on rendered rooms say nothing about NYUv2**.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from experiments.common.errors import UserError
from experiments.common.records import digest
from experiments.nyuv2.arrays import Arrays, cached_arrays, frames_of
from experiments.nyuv2.frames import CROPPED, NORMAL_STEPS, SIZE, Camera, Frames
from experiments.nyuv2.furnish import furnished_room
from experiments.nyuv2.raycast import cast
from experiments.nyuv2.textures import shaded

VERSION = 1  # raised whenever a frame's numbers change
GRAZING = 0.06  # cosine, below which a depth sensor sees no return


def rendered_rooms(
    root: Path, train: int = 200, test: int = 50, size: tuple[int, int] = (72, 96), seed: int = 0
) -> Frames:
    """``train`` + ``test`` rendered frames of ``size`` pixels, made once and cached below ``root``.

    Raises :class:`UserError` for an impossible number or size, or when the disk does not take them.
    """
    size = (int(size[0]), int(size[1]))  # a configuration gives a list
    if train < 1 or test < 1 or min(size) < 8:
        raise UserError(
            f"cannot render {train} + {test} rooms of {size[0]}x{size[1]}; at least 1 + 1 of 8x8 are needed."
        )
    what = {"version": VERSION, "train": train, "test": test, "size": list(size), "seed": seed}
    key = digest(what)
    folder = Path(root) / f"{train}+{test}-{size[0]}x{size[1]}-seed{seed}"
    arrays = cached_arrays(folder, key, train + test, size, lambda: _rendered(train, test, size, seed))
    provenance = {
        "source": "rendered rooms",
        "synthetic": True,
        "frames": train + test,
        "train": train,
        "test": test,
        "size": list(size),
        "seed": seed,
        "version": VERSION,
        "normals": {"given": "exact, of the rendered bodies", "axes": "right, up, towards the camera"},
    }
    numbers = torch.arange(train + test)
    return frames_of(arrays, numbers[:train], numbers[train:], numbers + 1, camera_at(size), provenance)


def camera_at(size: tuple[int, int]) -> Camera:
    """The camera of the real set at another size."""
    return CROPPED.scaled(size[0] / SIZE[0], size[1] / SIZE[1])


def render(random: np.random.Generator, size: tuple[int, int]) -> Arrays:
    """One frame of a new room: the four arrays, without the frame axis."""
    scene = furnished_room(random)
    origin, axes = _viewpoint(scene.room, random)  # [3], [3, 3]: right, up, forward
    rays = camera_at(size).rays(*size).double().numpy().reshape(3, -1)  # right, down, forward
    directions = rays.T @ (axes * np.array([[1], [-1], [1]]))  # [R, 3]
    hits = cast(scene, origin, directions)

    warmth, strength = random.uniform(-0.15, 0.15), random.uniform(0.5, 1.4)
    lamp = strength * np.array([1 + warmth, 1, 1 - warmth])
    ambient = random.uniform(0.25, 0.5) * (1 - 0.5 * np.array([warmth, 0, -warmth]))
    image = _developed(shaded(scene, hits, lamp, ambient).reshape(*size, 3), random)

    towards = hits.normal @ axes.T * np.array([1, 1, -1])  # [R, 3]: right, up, towards the camera
    facing = -(hits.normal * directions).sum(1) / np.linalg.norm(directions, axis=1)
    seen = facing > GRAZING
    return {
        "image": image.transpose(2, 0, 1),
        "label": hits.label.reshape(size),
        "depth": (hits.length * seen).astype(np.float16).reshape(1, *size),
        "normal": np.rint(towards * seen[:, None] * NORMAL_STEPS).astype(np.int8).T.reshape(3, *size),
    }


def _rendered(train: int, test: int, size: tuple[int, int], seed: int) -> Iterator[Arrays]:
    numbers = [(0, number) for number in range(train)] + [(1, number) for number in range(test)]
    for split, number in tqdm(numbers, "rendering rooms", unit="room", disable=None):
        frame = render(np.random.default_rng([seed, split, number]), size)
        yield {name: array[None] for name, array in frame.items()}


def _viewpoint(room: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where the camera is, and its axes right, up and forward as rows."""
    origin = np.array([room[0] * random.uniform(0.2, 0.8), random.uniform(1.2, 1.7), random.uniform(0.15, 0.5)])
    aim = room * np.array([random.uniform(0.15, 0.85), 0.0, random.uniform(0.7, 1.0)])
    yaw = math.atan2(aim[0] - origin[0], aim[2] - origin[2])
    pitch, roll = math.radians(random.uniform(-24, 2)), math.radians(random.normal(0, 2.0))
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    level = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    above = np.cross(forward, level)  # x, y up, z forward is left-handed: this points up
    right = math.cos(roll) * level + math.sin(roll) * above
    return origin, np.stack([right, np.cross(forward, right), forward])


def _developed(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light [H, W, 3] as an 8-bit picture: exposure, fall-off to the corners, noise, gamma."""
    height, width = light.shape[:2]
    v, u = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = light * (1 - random.uniform(0, 0.15) * (u**2 + v**2))[..., None]
    light = light * random.uniform(0.2, 0.4) / max(float(np.median(light)), 1e-3)
    light = light + random.normal(0, 1, light.shape) * random.uniform(0.003, 0.015)
    return np.rint(255 * light.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)
