"""The illustrative example: two losses of different scale over the plane, Navon et al., ICML 2022, appendix B.

With θ = (t₁, t₂), the problem of Liu et al. (CAGrad, NeurIPS 2021) with its first loss scaled down:

    ℓ₁ = scale·(c₁ f₁ + c₂ g₁),   ℓ₂ = c₁ f₂ + c₂ g₂,   scale = 0.1
    fᵢ = log max(|aᵢ|, 5e-6) + 6,   a₁ = ½(−t₁ − 7) − tanh(−t₂),   a₂ = ½(−t₁ + 3) + tanh(−t₂) + 2
    gᵢ = ((t₁ ∓ 7)² + 0.1 (t₂ + 8)²) / 10 − 20   (minus for task 1, plus for task 2)
    c₁ = max(tanh(½ t₂), 0),   c₂ = max(tanh(−½ t₂), 0)

The upper half plane (t₂ > 0) has two narrow logarithmic valleys, the lower half two shifted bowls, and the Pareto
front lies between the bowls' centres, on t₂ ≈ −8.3552, −7 <= t₁ <= 7.

**Which a₂.** The paper prints −tanh(−t₂) in a₂; the code that drew its figure, and CAGrad's, have +tanh(−t₂), which
mirrors the second valley. ``variant="released"`` is the default because the published figure is drawn with it;
``"paper"`` is the printed formula. The front, in the lower half plane, is the same for both.

Shapes: P points, 2 tasks, 2 coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]

VARIANTS = ("released", "paper")

#: The first loss is multiplied by this in the paper's figure.
SCALE = 0.1

#: The five starting points ``[5, 2]`` of the paper, in its order.
STARTS = np.array([[-8.5, 7.5], [0.0, 0.0], [9.0, 9.0], [-7.5, -0.5], [9.0, -1.0]])

#: The Pareto front as the released code draws it: t₁ over this interval, t₂ fixed at its minimiser in the front's
#: middle. Towards the ends the true minimiser falls to −8.434, which no loss shows: it changes by less than 0.001.
FRONT_T1 = (-7.0, 7.0)
FRONT_T2 = -8.3552

_SMALLEST = 5e-6  # of |aᵢ|: the logarithm's floor

# One row a task, to be broadcast over points [P].
_OFFSET = np.array([[-3.5], [3.5]])  # aᵢ = −½ t₁ + offset + sign·tanh(t₂)
_CENTRE = np.array([[7.0], [-7.0]])  # of the bowl gᵢ in t₁


def _sign(variant: str) -> Array:
    if variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}; choose one of {', '.join(VARIANTS)}.")
    return np.array([[1.0], [-1.0 if variant == "released" else 1.0]])


def losses(points: Tensor, scale: float = SCALE, variant: str = "released") -> Tensor:
    """The losses ``[..., 2]`` at ``points`` ``[..., 2]``, with an autograd graph: the definition, as printed."""
    sign = _sign(variant)
    t1, t2 = points.unbind(-1)
    c1 = torch.tanh(0.5 * t2).clamp(min=0.0)
    c2 = torch.tanh(-0.5 * t2).clamp(min=0.0)
    both = []
    for task in range(2):
        a = -0.5 * t1 + float(_OFFSET[task, 0]) + float(sign[task, 0]) * torch.tanh(t2)
        f = a.abs().clamp(min=_SMALLEST).log() + 6.0
        g = ((t1 - float(_CENTRE[task, 0])) ** 2 + 0.1 * (t2 + 8.0) ** 2) / 10.0 - 20.0
        both.append(c1 * f + c2 * g)
    return torch.stack([scale * both[0], both[1]], dim=-1)


class Toy:
    """The losses and their gradients by hand, over many points at once.

    ``scale``: the factor of the first loss, one number or one a point ``[P]``. Raises ``ValueError`` for an unknown
    ``variant``.

    At the kinks the derivatives are those that autograd takes of :func:`losses`: both c₁ and c₂ have theirs at
    t₂ = 0 (a start lies there), fᵢ has none below its floor.
    """

    def __init__(self, scale: float | Array = SCALE, variant: str = "released") -> None:
        self.sign = _sign(variant)
        first = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        self.scale = np.stack([first, np.ones_like(first)])  # [2, P] or [2, 1]

    def losses(self, points: Array) -> Array:
        """The losses ``[P, 2]`` at ``points`` ``[P, 2]``."""
        return self.losses_and_gradients(points)[0]

    def losses_and_gradients(self, points: Array) -> tuple[Array, Array]:
        """The losses ``[P, 2]`` and their gradients ``[P, 2 tasks, 2 coordinates]`` at ``points`` ``[P, 2]``."""
        t1, t2 = points.T
        slow, fast = np.tanh(0.5 * t2), np.tanh(t2)
        c1, c2 = np.maximum(slow, 0.0), np.maximum(-slow, 0.0)
        half_slope = 0.5 * (1.0 - slow * slow)  # of tanh(½ t₂)
        c1_slope, c2_slope = half_slope * (t2 >= 0.0), -half_slope * (t2 <= 0.0)

        a = _OFFSET - 0.5 * t1 + self.sign * fast  # [2, P], as everything below
        size = np.abs(a)
        above = size >= _SMALLEST
        size = np.maximum(size, _SMALLEST)
        f = np.log(size) + 6.0
        f_slope = np.sign(a) * above / size  # ∂f/∂a
        from_centre = t1 - _CENTRE
        g = 0.1 * (from_centre * from_centre + 0.1 * (t2 + 8.0) ** 2) - 20.0

        values = self.scale * (c1 * f + c2 * g)
        by_t1 = self.scale * (-0.5 * c1 * f_slope + 0.2 * c2 * from_centre)
        by_t2 = self.scale * (
            c1_slope * f + c2_slope * g + c1 * f_slope * self.sign * (1.0 - fast * fast) + 0.02 * c2 * (t2 + 8.0)
        )
        return values.T, np.stack([by_t1.T, by_t2.T], axis=-1)

    def front(self, n: int = 1000) -> Array:
        """The Pareto front as the paper draws it: losses ``[n, 2]`` along the line t₂ = −8.3552."""
        return self.losses(front_points(n))


def front_points(n: int = 1000) -> Array:
    """Points ``[n, 2]`` of the plane, evenly spaced along the Pareto front."""
    return np.stack([np.linspace(*FRONT_T1, n), np.full(n, FRONT_T2)], axis=1)
