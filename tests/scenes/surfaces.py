"""Surfaces whose depth and normals are known exactly, and angles between normals."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.scenes.frames import Camera


def plane(
    camera: Camera, size: tuple[int, int], normal: tuple[float, float, float], at: float
) -> tuple[Tensor, Tensor]:
    """Depth [H, W] and normals [3, H, W] (right, up, towards the camera) of a plane ``at`` metres on the axis."""
    facing = torch.nn.functional.normalize(torch.tensor(normal), dim=0)
    inner = facing * torch.tensor([1.0, -1.0, -1.0])  # right, down, forward
    inverse = (inner[:, None, None] * camera.rays(*size)).sum(0) / (inner[2] * at)
    depth = torch.where((inverse > 0.1) & (inverse < 5), 1 / inverse, 0.0)
    return depth, facing[:, None, None] * (depth > 0)


def sphere(camera: Camera, size: tuple[int, int], radius: float, at: float) -> tuple[Tensor, Tensor]:
    """Depth and normals of a sphere around (0, 0, at); 0 beside it."""
    rays = camera.rays(*size)
    square = (rays**2).sum(0)
    root = at**2 - square * (at**2 - radius**2)
    depth = torch.where(root > 0, (at - root.clamp(min=0).sqrt()) / square, 0.0)
    outward = (rays * depth - torch.tensor([0.0, 0.0, at])[:, None, None]) / radius
    return depth, outward * torch.tensor([1.0, -1.0, -1.0])[:, None, None] * (depth > 0)


def angles(first: Tensor, second: Tensor) -> Tensor:
    """Degrees between unit normals [3, H, W], where both are known: [P]."""
    known = (first != 0).any(0) & (second != 0).any(0)
    return torch.rad2deg(torch.acos((first * second).sum(0)[known].clamp(-1, 1)))
