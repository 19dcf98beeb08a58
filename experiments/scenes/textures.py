"""Patterns on the bodies of rendered scenes, and the light that falls on them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from experiments.scenes.raycast import Hits, Scene, blocked

Blend = Callable[[np.ndarray, np.ndarray], np.ndarray]  # place [R, 2] in pattern lengths, body [R] -> share [R]


def _hash(first: np.ndarray, second: np.ndarray, body: np.ndarray) -> np.ndarray:
    """A number in 0..1 for each cell of a body's grid, the same on every machine."""
    mixed = (
        first.astype(np.int64) * 374761393 + second.astype(np.int64) * 668265263 + body.astype(np.int64) * 974634533
    )
    mixed = (mixed ^ (mixed >> 13)) * 1274126177 & 0xFFFFFFFF
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65535


def _noise(place: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Smooth noise: random values on a grid, interpolated."""
    low = np.floor(place)
    share = place - low
    share = share * share * (3 - 2 * share)
    corner = [[_hash(low[:, 0] + i, low[:, 1] + j, body) for j in (0, 1)] for i in (0, 1)]
    left, right = (corner[i][0] * (1 - share[:, 1]) + corner[i][1] * share[:, 1] for i in (0, 1))
    return left * (1 - share[:, 0]) + right * share[:, 0]


def _wood(place: np.ndarray, body: np.ndarray) -> np.ndarray:
    warped = place * np.array([1.0, 6.0])
    return 0.5 + 0.5 * np.sin(6.3 * (warped[:, 1] + 2 * _noise(place, body)))


def _tiles(place: np.ndarray, body: np.ndarray) -> np.ndarray:
    return ((place % 1) < 0.08).any(1).astype(float)


def _panes(place: np.ndarray, body: np.ndarray) -> np.ndarray:
    """A window's bars on its bright sky."""
    return ((place + 0.05) % 1 < 0.1).any(1).astype(float)


PATTERNS: dict[str, Blend] = {
    "plain": lambda place, body: np.zeros(len(place)),
    "stripes": lambda place, body: np.floor(place[:, 0]) % 2,
    "checks": lambda place, body: np.floor(place).sum(1) % 2,
    "blocks": lambda place, body: _hash(np.floor(place[:, 0]), np.floor(place[:, 1]), body),
    "noise": _noise,
    "wood": _wood,
    "tiles": _tiles,
    "panes": _panes,
}


def albedo(scene: Scene, hits: Hits) -> np.ndarray:
    """Linear colour [R, 3] of the surfaces that rays hit."""
    first, second = (np.array([getattr(s, name) for s in scene.surfaces]) for name in ("colour", "second"))
    scale = np.array([surface.scale for surface in scene.surfaces])[hits.surface]
    place = hits.place / scale[:, None]
    share = np.zeros(len(place))
    patterns = np.array([list(PATTERNS).index(surface.pattern) for surface in scene.surfaces])[hits.surface]
    for number, blend in enumerate(PATTERNS.values()):
        if (mine := patterns == number).any():
            share[mine] = blend(place[mine], hits.surface[mine])
    return first[hits.surface] * (1 - share[:, None]) + second[hits.surface] * share[:, None]


def shaded(
    scene: Scene,
    hits: Hits,
    lamp: np.ndarray,
    ambient: np.ndarray,
    fading: tuple[float, float] = (0.4, 0.25),
    share: float = 0.99,
) -> np.ndarray:
    """Linear light [R, 3] towards the camera: a lamp of colour ``lamp`` [3] with shadows, and ``ambient`` [3].

    The lamp's light falls off by 1 / (a + b distance^2) with ``fading`` (a, b); ``share``: see :func:`blocked`.
    """
    to_lamp = scene.light - hits.point
    distance = np.linalg.norm(to_lamp, axis=1)
    facing = (to_lamp * hits.normal).sum(1).clip(0) / distance
    lit = facing / (fading[0] + fading[1] * distance**2)
    lit = lit * ~blocked(scene, hits.point + 0.005 * hits.normal, scene.light, share)
    upward = 0.8 + 0.2 * hits.normal[:, 1]  # more light comes from above
    corner = np.sort(np.minimum(hits.point, scene.room - hits.point), axis=1)[:, 1]  # to the room's nearest edge
    closed = 0.7 + 0.3 * (corner / 0.6).clip(0, 1)
    glow = np.array([surface.glow for surface in scene.surfaces])[hits.surface]
    light = lit[:, None] * lamp + (upward * closed)[:, None] * ambient + glow[:, None]
    return albedo(scene, hits) * light
