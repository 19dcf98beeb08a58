"""What a camera makes of light."""

from __future__ import annotations

import numpy as np


def developed(light: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Light [H, W, 3] as an 8-bit picture: exposure, fall-off to the corners, noise, gamma."""
    height, width = light.shape[:2]
    v, u = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = light * (1 - random.uniform(0, 0.15) * (u**2 + v**2))[..., None]
    light = light * random.uniform(0.2, 0.4) / max(float(np.median(light)), 1e-3)
    light = light + random.normal(0, 1, light.shape) * random.uniform(0.003, 0.015)
    return np.rint(255 * light.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)
