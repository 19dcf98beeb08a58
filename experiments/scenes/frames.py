"""Frames of scenes in memory: colour, labels, depth and perhaps normals as a few whole tensors.

Conventions: labels count the classes from 0, -1 where ignored. Depth is in metres along the optical axis, or for some
sets its inverse; 0 where unknown. Normals face the camera; their axes are x to the right, y up and z towards the
camera (unless a source brought its own, see ``provenance["normals"]``), (0, 0, 0) where unknown.

Letters in shapes: N frames, B frames of a batch, H rows, W columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

IGNORED = -1  # the label of a pixel that counts neither in the loss nor in a metric
NORMAL_STEPS = 127  # a stored normal is round(127 n): 0.2 degrees off on average, at most 0.4


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; all four in pixels, with (0, 0) at the centre of the first pixel."""

    fx: float
    fy: float
    cx: float
    cy: float

    def cropped(self, top: float, left: float) -> Camera:
        """The camera of the picture that begins ``top`` rows and ``left`` columns further in."""
        return replace(self, cx=self.cx - left, cy=self.cy - top)

    def scaled(self, vertical: float, horizontal: float) -> Camera:
        """The camera of the picture resized by these factors (pixels are squares: centres lie at half steps)."""
        return Camera(
            fx=self.fx * horizontal,
            fy=self.fy * vertical,
            cx=(self.cx + 0.5) * horizontal - 0.5,
            cy=(self.cy + 0.5) * vertical - 0.5,
        )

    def rays(self, height: int, width: int) -> Tensor:
        """Directions (right, down, forward) of the pixels, with forward 1: [3, H, W], float32."""
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return torch.stack([(u - self.cx) / self.fx, (v - self.cy) / self.fy, torch.ones(height, width)])


@dataclass(frozen=True, eq=False)
class Batch:
    """Some frames as the model and the losses take them."""

    image: Tensor  # [B, 3, H, W], float32, 0..1, no further normalisation (as in the released code)
    label: Tensor  # [B, H, W], int64, -1 or a class
    depth: Tensor  # [B, 1, H, W], float32, metres or their inverse
    normal: Tensor | None = None  # [B, 3, H, W], float32, of length 1 or 0

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        normal = None if self.normal is None else moved(self.normal)
        return Batch(moved(self.image), moved(self.label), moved(self.depth), normal)

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, part: slice) -> Batch:
        normal = None if self.normal is None else self.normal[part]
        return Batch(self.image[part], self.label[part], self.depth[part], normal)


@dataclass(frozen=True, eq=False)
class Frames:
    """All frames of a set: memory maps until :meth:`to` loads them."""

    image: Tensor  # [N, 3, H, W], uint8
    label: Tensor  # [N, H, W], int8, -1 or a class
    depth: Tensor  # [N, 1, H, W], float16, metres or their inverse
    normal: Tensor | None  # [N, 3, H, W], int8, 127 times the normal
    train: Tensor  # int64, positions of the training frames, on the CPU
    test: Tensor  # int64
    identity: Tensor  # [N], int64, the number of each frame, from 1
    camera: Camera | None = None  # of the pictures at this size, where known
    provenance: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.image.shape[-2], self.image.shape[-1]

    @property
    def bytes(self) -> int:
        """What :meth:`to` takes on a device."""
        parts = (self.image, self.label, self.depth, self.normal)
        return sum(t.numel() * t.element_size() for t in parts if t is not None)

    def to(self, device: torch.device | str) -> Frames:
        """The same frames, whole in the memory of ``device`` (also for the CPU: nothing stays a memory map)."""
        return self._each(lambda tensor: tensor.to(device) if torch.device(device).type != "cpu" else tensor.clone())

    def subset(self, positions: Sequence[int] | Tensor) -> Frames:
        """The frames at ``positions``, in that order, copied into memory; splits keep what is left of them.

        Raises ``IndexError`` when a position is negative or too large.
        """
        index = torch.as_tensor(positions, dtype=torch.int64)
        if ((index < 0) | (index >= len(self))).any():
            raise IndexError(f"positions must lie in 0..{len(self) - 1}, got {index.tolist()}")
        some = self._each(lambda tensor: tensor[index.to(tensor.device)])
        train, test = (torch.isin(index, split).nonzero()[:, 0] for split in (self.train, self.test))
        return replace(some, identity=self.identity[index], train=train, test=test)

    def batch(self, positions: Sequence[int] | Tensor) -> Batch:
        """The frames at ``positions`` in floating point, on the device that the frames lie on."""
        index = torch.as_tensor(positions, dtype=torch.int64).to(self.image.device)
        normal = None if self.normal is None else self.normal[index].float()
        return Batch(
            image=self.image[index].float() / 255,
            label=self.label[index].long(),
            depth=self.depth[index].float(),
            # A zero vector stays one. (torch's normalize takes 50 times as long over this dimension.)
            normal=None if normal is None else normal * normal.square().sum(1, keepdim=True).clamp(min=1e-12).rsqrt(),
        )

    def _each(self, change: Any) -> Frames:
        return replace(
            self,
            image=change(self.image),
            label=change(self.label),
            depth=change(self.depth),
            normal=None if self.normal is None else change(self.normal),
        )


def quantised_normals(normal: Tensor) -> Tensor:
    """Unit vectors of any shape as the store keeps them: int8."""
    return (normal * NORMAL_STEPS).round().to(torch.int8)
