"""The building blocks of Meta-World's v2 rewards for plain numbers (MIT-licensed, after the DeepMind Control Suite).

Meta-World's own are written for numpy arrays, which costs ten times the arithmetic on a single number.
"""

from __future__ import annotations

import math

from experiments.mt10.readings import Reading, Start

# Both sigmoids fall to 0.1 at one margin outside the interval.
_LONG_TAIL = math.sqrt(1 / 0.1 - 1)
_GAUSSIAN = math.sqrt(-2 * math.log(0.1))


def long_tail(x: float, upper: float, margin: float, lower: float = 0.0) -> float:
    """1 for ``lower`` ≤ x ≤ ``upper``; outside 1 / (1 + (3d)²) with d the distance to the interval in margins."""
    if lower <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    scaled = ((lower - x if x < lower else x - upper) / margin) * _LONG_TAIL
    return 1 / (scaled * scaled + 1)


def gaussian(x: float, upper: float, margin: float) -> float:
    """1 for 0 ≤ x ≤ ``upper``; outside a Gaussian of the distance to the interval in margins."""
    if 0.0 <= x <= upper:
        return 1.0
    if margin == 0:
        return 0.0
    scaled = ((-x if x < 0 else x - upper) / margin) * _GAUSSIAN
    return math.exp(-0.5 * scaled * scaled)


def both(a: float, b: float) -> float:
    """Hamacher product ab / (a + b − ab): one only if both are, zero if either is."""
    product = a * b
    denominator = a + b - product
    return product / denominator if denominator > 0 else 0.0


def effort(grip: float) -> float:
    """How hard the gripper is told to close, 0 … 1."""
    return min(max(0.0, grip), 1.0)


class Caging:
    """Meta-World's reward for having the object between the pads, and gripping it ("caging").

    Between the pads in y: each pad's distance to the object is to lie in ``object_radius`` … ``reach``, with a margin
    that grows as the pad leaves the object's start; over it in the plane of x and z. Above 0.97 gripping counts too.
    """

    def __init__(self, start: Start, object_radius: float, reach: float, near: float = 0.005) -> None:
        self._start_y = start.object[1]
        self._object_radius = object_radius
        self._reach = reach
        self._near = near
        across = math.hypot(start.object[0] - start.fingers[0], start.object[2] - start.fingers[2])
        self._margin = across - near

    def __call__(self, now: Reading) -> float:
        left = self._pad(now.left_pad_y, now.object[1])
        right = self._pad(now.right_pad_y, now.object[1])
        return self.combine(left, right, now)

    def _pad(self, pad_y: float, object_y: float) -> float:
        margin = abs(abs(pad_y - self._start_y) - self._reach)
        return long_tail(abs(pad_y - object_y), self._reach, margin, self._object_radius)

    def combine(self, left: float, right: float, now: Reading) -> float:
        x, _, z = now.object
        over = long_tail(math.hypot(now.fingers[0] - x, now.fingers[2] - z), self._near, self._margin)
        caging = both(both(left, right), over)
        gripping = effort(now.grip) if caging > 0.97 else 0.0
        return (both(caging, gripping) + caging) / 2


class PickPlaceCaging(Caging):
    """The pick-place task's variant: signed distances, and margins from the pads' "initial" places.

    These are references to the simulator's memory in Meta-World, and so the present places.
    """

    def __call__(self, now: Reading) -> float:
        y = now.object[1]
        left_margin = abs(abs(y - now.left_pad_y) - self._reach)
        right_margin = abs(abs(y - now.right_pad_y) - self._reach)
        left = long_tail(now.left_pad_y - y, self._reach, left_margin, self._object_radius)
        right = long_tail(y - now.right_pad_y, self._reach, right_margin, self._object_radius)
        return self.combine(left, right, now)
