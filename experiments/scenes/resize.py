"""Single pictures of a source brought to another size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.common.errors import UserError
from experiments.scenes.arrays import nearest


def colour_at(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A colour picture [H, W, 3], uint8, at ``size`` by bilinear interpolation (over areas, where it shrinks)."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


def nearest_at(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels or depth [H, W] or [H, W, C] at ``size`` by the nearest pixel, float32."""
    plane: Tensor = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    plane = plane[None, None] if values.ndim == 2 else plane.permute(2, 0, 1)[None]
    return nearest(plane, size)[0].permute(1, 2, 0).numpy().reshape(*size, *values.shape[2:])


def read_picture(path: Path) -> np.ndarray:
    """A picture file as it is; raises :class:`UserError` for one that is missing or cannot be decoded."""
    try:
        with Image.open(path) as image:
            return np.asarray(image)
    except FileNotFoundError:
        raise UserError(f"{path} is missing; bring the folder again from its source") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's kinds for a truncated or foreign file
        raise UserError(f"{path} cannot be decoded ({error}); bring it again from its source") from error
