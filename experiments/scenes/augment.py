"""The augmentation of the released code: a random crop enlarged, and a left-right flip, of all tasks together.

Enlarging a crop by s shows surfaces s times as large, as from 1/s of the distance: depth is divided by s (and inverse
depth multiplied, where the released code for Cityscapes divides it as well). With
the camera's focal lengths kept, the scene that this shows is the old one compressed along the optical axis,
whose normals are (n_x, n_y, s n_z), made unit again. The released code leaves n_z as it is, and so do we unless
``tilt_normals`` is set. A flip mirrors the scene: the horizontal part of the normals changes sign.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from experiments.scenes.frames import Batch

SCALES = (1.0, 1.2, 1.5)  # the released code's, each as likely
FLIP = 0.5  # the released code's chance of a flip


@dataclass(frozen=True)
class View:
    """What is done to one frame: the crop of ``height`` x ``width`` pixels at (top, left), enlarged by ``scale``."""

    scale: float
    top: int
    left: int
    height: int
    width: int
    flip: bool


def step_generator(seed: int, epoch: int, step: int) -> torch.Generator:
    """The random numbers of one training step: a resumed run draws what an unbroken one would."""
    state = hashlib.sha256(f"{seed} {epoch} {step}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(state, "little") >> 1)


def random_views(
    count: int,
    size: tuple[int, int],
    generator: torch.Generator,
    scales: tuple[float, ...] = SCALES,
    flip: float = FLIP,
) -> list[View]:
    """A view for each of ``count`` frames of ``size``; four numbers are drawn a frame, whatever they say."""
    views = []
    for scale_draw, top_draw, left_draw, flip_draw in torch.rand(count, 4, generator=generator).tolist():
        scale = scales[int(scale_draw * len(scales))]
        height, width = int(size[0] / scale), int(size[1] / scale)
        top, left = int(top_draw * (size[0] - height + 1)), int(left_draw * (size[1] - width + 1))
        views.append(View(scale, top, left, height, width, flip_draw < flip))
    return views


def augmented(
    batch: Batch, generator: torch.Generator, tilt_normals: bool = False, inverse_depth: bool = False
) -> Batch:
    """``batch`` with a random view of each frame, on the device that it lies on.

    ``generator`` is a CPU generator (see :func:`step_generator`): drawing there never waits for the device.
    ``tilt_normals`` makes normals agree with the scaled depth; the released code does not (False).
    ``inverse_depth`` says that the frames hold the inverse of the depth.
    """
    views = random_views(len(batch), (batch.image.shape[-2], batch.image.shape[-1]), generator)
    return seen(batch, views, tilt_normals, inverse_depth)


def seen(batch: Batch, views: list[View], tilt_normals: bool = False, inverse_depth: bool = False) -> Batch:
    """``batch`` with ``views[b]`` of frame b: colour and normals by bilinear interpolation, the rest nearest.

    Interpolated normals are made unit again; where the nearest pixel has none, there is none.
    """
    image, label, depth = (
        torch.stack([change(tensor[b], view) for b, view in enumerate(views)])
        for change, tensor in (
            (_colour, batch.image),
            (_nearest, batch.label[:, None]),
            (partial(_depth, inverse=inverse_depth), batch.depth),
        )
    )
    normal = None
    if batch.normal is not None:
        normal = torch.stack([_normal(batch.normal[b], view, tilt_normals) for b, view in enumerate(views)])
    return Batch(image, label[:, 0], depth, normal)


def _colour(image: Tensor, view: View) -> Tensor:
    return _flip(_crop(image, view, InterpolationMode.BILINEAR), view)


def _nearest(values: Tensor, view: View) -> Tensor:
    return _flip(_crop(values, view, InterpolationMode.NEAREST_EXACT), view)


def _depth(depth: Tensor, view: View, inverse: bool) -> Tensor:
    depth = _nearest(depth, view)
    return depth * view.scale if inverse else depth / view.scale


def _normal(normal: Tensor, view: View, tilt: bool) -> Tensor:
    if view.scale != 1:
        known = _crop((normal != 0).any(0, keepdim=True).float(), view, InterpolationMode.NEAREST_EXACT)
        normal = _crop(normal, view, InterpolationMode.BILINEAR) * known
        if tilt:
            normal = normal * normal.new_tensor([1, 1, view.scale])[:, None, None]
        normal = normalize(normal, dim=0)
    if view.flip:
        normal = _flip(normal, view)
        normal = torch.cat([-normal[:1], normal[1:]])
    return normal


def _flip(tensor: Tensor, view: View) -> Tensor:
    return v2.horizontal_flip(tensor) if view.flip else tensor


def _crop(tensor: Tensor, view: View, how: InterpolationMode) -> Tensor:
    if view.scale == 1:
        return tensor
    size = [tensor.shape[-2], tensor.shape[-1]]
    # Nearest-exact puts the pixels' centres where bilinear interpolation has them; plain nearest is half a pixel off.
    return v2.resized_crop(tensor, view.top, view.left, view.height, view.width, size, how, antialias=False)
