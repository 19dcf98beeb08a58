"""Rendered streets: a synthetic stand-in for Cityscapes with the same classes and exact inverse depth.

Each frame is a street of its own (:mod:`build_street`), seen by the camera of the real set from a car, ray-cast in
sunlight or under clouds, and given a camera's exposure and noise.
"""

from __future__ import annotations

import math

import numpy as np

from experiments.cityscapes.build_street import LABEL, street
from experiments.cityscapes.camera import camera_at
from experiments.scenes.arrays import Arrays
from experiments.scenes.develop import developed
from experiments.scenes.raycast import camera_directions, cast
from experiments.scenes.textures import shaded

VERSION = 1  # raised whenever a frame's numbers change
_NEAR_SUN = 0.9999  # of the way from the sun to a point: nearer bodies are the point's own


def render(random: np.random.Generator, size: tuple[int, int]) -> Arrays:
    """One frame of a new street: image, label and inverse depth, without the frame axis."""
    scene, origin = street(random)
    directions = camera_directions(camera_at(size), _axes(random), size)  # [R, 3]
    hits = cast(scene, origin, directions)

    warmth, sunny = random.uniform(0, 0.2), random.uniform(0.1, 1.6)
    sun = sunny * np.array([1 + warmth, 1, 1 - warmth])
    sky = random.uniform(0.35, 0.6) * np.array([0.95, 1, 1.08])
    light = shaded(scene, hits, sun, sky, fading=(1.0, 0.0), share=_NEAR_SUN)
    known = hits.label != LABEL["sky"]
    inverse = np.where(known, 1 / hits.length, 0.0)
    return {
        "image": developed(light.reshape(*size, 3), random).transpose(2, 0, 1),
        "label": hits.label.reshape(size),
        "depth": inverse.astype(np.float16).reshape(1, *size),
    }


def _axes(random: np.random.Generator) -> np.ndarray:
    """The camera's right, up and forward as rows: along the street, but for a few degrees."""
    yaw, pitch = math.radians(random.normal(0, 3.0)), math.radians(random.normal(-2.0, 1.0))
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    right = np.array([math.cos(yaw), 0.0, -math.sin(yaw)])
    return np.stack([right, np.cross(forward, right), forward])
