"""The stereo camera of Cityscapes, and inverse depth from its disparity."""

from __future__ import annotations

import numpy as np

from experiments.scenes.frames import Camera

SIZE = (128, 256)  # rows and columns of MTAN's version of the set, which the paper used
FULL = (1024, 2048)  # of the official frames
BASELINE = 0.209313  # metres between the two lenses

# Of the left camera; the data set has one a city, within a per cent of this.
LEFT = Camera(fx=2262.52, fy=2265.3017905988554, cx=1096.98, cy=513.137)


def camera_at(size: tuple[int, int]) -> Camera:
    """The camera of the set at another size."""
    return LEFT.scaled(size[0] / FULL[0], size[1] / FULL[1])


def inverse_depth(disparity: np.ndarray) -> np.ndarray:
    """1 / metres, float64, from the 16-bit pictures of ``disparity``; 0 where unknown.

    A value p > 0 stands for (p - 1) / 256 pixels; depth is baseline times focal length over disparity.
    """
    pixels = (disparity.astype(np.float64) - 1).clip(0) / 256
    return pixels / (BASELINE * LEFT.fx)
