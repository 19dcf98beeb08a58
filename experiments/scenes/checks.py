"""What every frame must be, whatever it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from experiments.common.errors import UserError


def check_labels(label: np.ndarray, n_classes: int, where: Path | str) -> None:
    """Raise :class:`UserError` unless labels lie in -1..n_classes - 1 and are whole."""
    if not np.isfinite(label).all() or (label != np.rint(label)).any():
        raise UserError(f"{where} has labels that are no whole numbers; it is not a label array")
    if label.min() < -1 or label.max() >= n_classes:
        raise UserError(
            f"{where} has labels {label.min():g}..{label.max():g}, expected -1..{n_classes - 1}; "
            f"{n_classes}-class labels less one are needed"
        )


def check_depth(depth: np.ndarray, largest: float, where: Path | str) -> None:
    """Raise :class:`UserError` unless depth (or its inverse) is in 0..largest and somewhere known, that is, not 0."""
    if not np.isfinite(depth).all():
        raise UserError(f"{where} has depths that are not finite; mark unknown depth by 0")
    if depth.min() < 0 or depth.max() > largest:
        raise UserError(
            f"{where} has depths {depth.min():.3g}..{depth.max():.3g}, expected 0..{largest:g}; check its unit"
        )
    if not depth.any():
        raise UserError(f"{where} has no valid depth at all; the file is damaged, bring it again from its source")


def check_shape(array: np.ndarray, expected: tuple[int, ...], where: Path | str) -> None:
    """Raise :class:`UserError` unless ``array`` is of the ``expected`` shape."""
    if array.shape != expected:
        raise UserError(f"{where} has the shape {list(array.shape)}, expected {list(expected)}")


def unit_normals(normal: np.ndarray, where: Path | str) -> np.ndarray:
    """Normals [H, W, 3] of length 1, or 0 where they were; raises :class:`UserError` for other ranges."""
    if not np.isfinite(normal).all() or np.abs(normal).max() > 1.01:
        raise UserError(f"{where} has normals outside -1..1; bring it again from its source")
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.where(length > 0.1, normal / np.maximum(length, 0.1), 0.0)
