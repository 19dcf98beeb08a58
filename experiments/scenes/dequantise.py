"""Depth kept in coarse steps made smooth again.

A depth image in 8 bits is a staircase; planes fitted to it see its steps. What is known of a pixel is the cell
[q - 1/2, q + 1/2] that its depth lies in, and that surfaces are mostly smooth: so every pixel moves to the mean
of its neighbours on both sides, as far as its cell allows. Neighbours over one level away are another surface.
Wide distances first: they carry a slope across a wide step at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

ROUNDS = ((16, 6), (8, 6), (4, 6), (2, 8), (1, 8))  # distance in pixels, how many times


def dequantise(level: Tensor, rounds: tuple[tuple[int, int], ...] = ROUNDS) -> Tensor:
    """Levels [N, H, W] of any whole-number type as smooth float32 values within half a level; 0 (unknown) stays 0."""
    return torch.stack([_smooth(one.float(), rounds) for one in level])


def _smooth(level: Tensor, rounds: tuple[tuple[int, int], ...]) -> Tensor:
    value = level.clone()
    known = level > 0
    low, high = level - 0.5 + 1e-3, level + 0.5 - 1e-3
    for distance, times in rounds:
        pairs = [_both_near(level, known, distance, axis) for axis in (0, 1)]  # [H, W] each, 1 or 0
        total = pairs[0] + pairs[1]
        free = total > 0
        weight = [pair / (2 * total.clamp(min=1)) for pair in pairs]
        for _ in range(times):
            mean = weight[0] * _neighbour_sum(value, distance, 0) + weight[1] * _neighbour_sum(value, distance, 1)
            value = torch.where(free, torch.minimum(torch.maximum(mean, low), high), value)
    return value * known


def _both_near(level: Tensor, known: Tensor, distance: int, axis: int) -> Tensor:
    """1 where the neighbours on both sides along ``axis`` are known and at most one level away.

    Both or none: a neighbour on one side alone would pull a slope flat.
    """
    before, after = _shifted(torch.where(known, level, -9.0), distance, axis, -9.0)
    return (((before - level).abs() <= 1) & ((after - level).abs() <= 1) & known).float()


def _neighbour_sum(value: Tensor, distance: int, axis: int) -> Tensor:
    before, after = _shifted(value, distance, axis, 0.0)
    return before + after


def _shifted(value: Tensor, distance: int, axis: int, fill: float) -> tuple[Tensor, Tensor]:
    """The neighbours ``distance`` before and after along ``axis``, ``fill`` outside."""
    length = value.shape[axis]
    wide = pad(value, (0, 0, distance, distance) if axis == 0 else (distance, distance), value=fill)
    return wide.narrow(axis, 0, length), wide.narrow(axis, 2 * distance, length)
