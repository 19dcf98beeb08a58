"""Surface normals from depth: a least-squares plane at every pixel.

In a pinhole camera a plane n . X = r is linear in inverse depth: 1/z = (n . ray) / r. So the fit is a
linear regression of inverse depth on the pixel coordinates of a window, and the three coefficients *are* the normal,
up to its length. Inverse depth is also the scale on which a structured-light sensor has the same noise everywhere.
Neighbours whose inverse depth is further than ``gate`` from the centre's, relatively, belong to another surface
and are left out. The sums of the normal equations run over the offsets of the window, each a few whole-image
operations: no loop over pixels, and the same code on a GPU.

Letters in shapes: N frames, H rows, W columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from experiments.scenes.frames import Camera

WINDOW = 13  # pixels, at 288x384; 19 at 640x480
GATE = 0.05  # relative difference of depth, beyond which a neighbour is another surface
SUPPORT = 0.08  # share of the window that must take part, so that slivers do not invent a direction
RECIPE_VERSION = 1  # raised whenever the numbers change


def normals_from_depth(
    depth: Tensor, camera: Camera, window: int = WINDOW, gate: float = GATE, support: float = SUPPORT
) -> Tensor:
    """Unit normals [N, 3, H, W] (right, up, towards the camera), float32, of ``depth`` [N, H, W] in metres.

    They face the camera. (0, 0, 0) where depth is 0, or where fewer than ``support`` of the ``window`` x ``window``
    neighbours lie on the same surface. Raises ``ValueError`` for an even window.
    """
    if window % 2 == 0 or window < 3:
        raise ValueError(f"window must be odd and at least 3, got {window}")
    if depth.device.type == "cpu":  # one frame at a time stays in the processor's cache
        return torch.stack([fit_planes(one[None], camera, window, gate, support)[0] for one in depth])
    return fit_planes(depth, camera, window, gate, support)


def recipe(window: int = WINDOW, gate: float = GATE, support: float = SUPPORT) -> dict[str, Any]:
    """What a record says about normals made here."""
    return {
        "method": "least-squares plane in inverse depth",
        "version": RECIPE_VERSION,
        "window": window,
        "gate": gate,
        "support": support,
        "axes": "right, up, towards the camera",
    }


def fit_planes(depth: Tensor, camera: Camera, window: int, gate: float, support: float) -> Tensor:
    """:func:`normals_from_depth` of all frames at once, as a GPU has it."""
    radius = window // 2
    height, width = depth.shape[-2:]
    depth = depth.float()
    valid = depth > 0
    inverse = torch.where(valid, 1 / depth.clamp(min=1e-3), 0.0)  # [N, H, W], 1/metres
    # So far off that no gate lets it in, and finite, so that 0 times it is 0.
    around = pad(torch.where(valid, inverse, -1e6), (radius,) * 4, value=-1e6)
    tolerance = inverse * gate

    # Sums over the window of 1, u, v, u^2, uv, v^2 and of the difference d to the centre: d, ud, vd.
    n, su, sv, suu, suv, svv, sd, sud, svd = depth.new_zeros(9, *depth.shape)
    row_n, row_u, row_uu, row_d, row_ud = depth.new_empty(5, *depth.shape)
    difference, inside = torch.empty_like(depth), torch.empty_like(depth)
    for v in range(-radius, radius + 1):
        for row in (row_n, row_u, row_uu, row_d, row_ud):
            row.zero_()
        for u in range(-radius, radius + 1):
            neighbour = around[:, radius + v : radius + v + height, radius + u : radius + u + width]
            torch.sub(neighbour, inverse, out=difference)
            torch.abs(difference, out=inside)
            torch.lt(inside, tolerance, out=inside)  # 1 or 0
            difference.mul_(inside)
            row_n.add_(inside)
            row_d.add_(difference)
            if u:
                row_u.add_(inside, alpha=u)
                row_uu.add_(inside, alpha=u * u)
                row_ud.add_(difference, alpha=u)
        n.add_(row_n), su.add_(row_u), suu.add_(row_uu), sd.add_(row_d), sud.add_(row_ud)
        sv.add_(row_n, alpha=v), svv.add_(row_n, alpha=v * v), suv.add_(row_u, alpha=v), svd.add_(row_d, alpha=v)

    # Around the means, two equations remain: [suu suv; suv svv] (a b) = (sud svd).
    count = n.clamp(min=1)
    mean_u, mean_v, mean_d = su / count, sv / count, sd / count
    suu, suv, svv = suu - n * mean_u**2, suv - n * mean_u * mean_v, svv - n * mean_v**2
    sud, svd = sud - n * mean_u * mean_d, svd - n * mean_v * mean_d
    determinant = suu * svv - suv * suv  # [N, H, W]; of pixels in one line: 0
    a = (svv * sud - suv * svd) / determinant.clamp(min=1e-6)  # slope of inverse depth per column
    b = (suu * svd - suv * sud) / determinant.clamp(min=1e-6)  # per row
    fitted = inverse + mean_d - a * mean_u - b * mean_v  # inverse depth of the plane at the centre

    v_index = torch.arange(height, device=depth.device)[:, None]
    u_index = torch.arange(width, device=depth.device)[None]
    forward = fitted + a * (camera.cx - u_index) + b * (camera.cy - v_index)
    # The normal that faces the camera is minus the gradient in (right, down, forward); up is minus down.
    normal = torch.stack([-a * camera.fx, b * camera.fy, forward], dim=1)
    known = valid & (n >= support * window * window) & (determinant > 0.5 * n) & (fitted > 0)
    return torch.nn.functional.normalize(normal, dim=1, eps=1e-20) * known[:, None]
