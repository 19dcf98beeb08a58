"""The Kinect's picture, the part of it that is used, and frames brought to the working size."""

from __future__ import annotations

import numpy as np

from experiments.scenes.frames import Camera
from experiments.scenes.resize import colour_at, nearest_at

SIZE = (288, 384)  # rows and columns of MTAN's version of the set, which the paper used
FULL = (480, 640)  # of the official frames
FARTHEST = 20.0  # metres; the Kinect sees 10

# Of the Kinect's colour camera over 640x480, from the NYU toolbox, whose pixels count from 1.
KINECT = Camera(fx=518.858, fy=519.470, cx=324.582, cy=252.736)
VALID_ROWS, VALID_COLUMNS = (44, 471), (40, 601)  # the toolbox's crop, 427x561; outside it depth is invented
CROPPED = KINECT.cropped(VALID_ROWS[0], VALID_COLUMNS[0]).scaled(SIZE[0] / 427, SIZE[1] / 561)


def camera_at(size: tuple[int, int]) -> Camera:
    """The camera of the set at another size."""
    return CROPPED.scaled(size[0] / SIZE[0], size[1] / SIZE[1])


def cropped_colour(image: np.ndarray) -> np.ndarray:
    """A colour picture [480, 640, 3] cut to the toolbox's valid part, [288, 384, 3] by bilinear interpolation."""
    return colour_at(image[slice(*VALID_ROWS), slice(*VALID_COLUMNS)], SIZE)


def cropped_nearest(values: np.ndarray) -> np.ndarray:
    """Labels or depth [480, 640] or [480, 640, C] cut and resized likewise, by the nearest pixel."""
    return nearest_at(values[slice(*VALID_ROWS), slice(*VALID_COLUMNS)], SIZE)
