"""Meta-World 3.1.1's v1 rewards of the ten tasks, about −40 … 2,300, for plain numbers: those of the paper's runs.

The same functions as the task classes' ``compute_reward`` with ``reward_function_version="v1"``. Most pay minus the
distance from the fingers to the object and, with the fingers within 5 cm of it, a bonus that grows as the object
nears its target. The tests compare them with Meta-World's over whole episodes.
"""

from __future__ import annotations

from collections.abc import Callable
from math import dist, exp

from experiments.mt10.readings import Reading, Start

Reward = Callable[[Reading], float]


def _bonus(from_start: float, to_target: float) -> float:
    """1,000 for the way already covered (metres), and up to 2,000 more close to the target."""
    squared = to_target * to_target
    return 1000 * (from_start - to_target) + 1000 * (exp(-squared / 0.01) + exp(-squared / 0.001))


def _reach(start: Start) -> Reward:
    return lambda now: max(_bonus(start.distance, dist(now.fingers, start.target)), 0.0)


def _moving(start: Start, to_target: Callable[[Reading], float], below_zero: bool = False) -> Reward:
    """Reach the object, then move it; only the window tasks let the bonus fall ``below_zero``."""
    from_start = start.distance

    def reward(now: Reading) -> float:
        to_object = dist(now.object, now.fingers)
        if to_object >= 0.05:
            return -to_object
        bonus = _bonus(from_start, to_target(now))
        return -to_object + (bonus if below_zero else max(bonus, 0.0))

    return reward


def _planar(start: Start) -> Reward:
    target = start.target[:2]
    return _moving(start, lambda now: dist(now.object[:2], target))


def _along(axis: int, below_zero: bool = False) -> Callable[[Start], Reward]:
    def make(start: Start) -> Reward:
        target = start.target[axis]
        return _moving(start, lambda now: abs(now.object[axis] - target), below_zero)

    return make


def _picking(start: Start, height_weight: float, peg: bool) -> Reward:
    """Reach, pick up, place: the pick-place and peg tasks."""
    target, fingers_height = start.target, start.fingers[2]
    lift_height, dropped_height = start.lift_height, start.object_height + 0.005

    def reward(now: Reading) -> float:
        height = now.object[2]
        to_object, to_target = dist(now.object, now.fingers), dist(now.object, target)
        across = dist(now.object[:2], now.fingers[:2])
        if to_object < 0.05:
            value = -to_object + max(now.grip, 0.0) / 50
        elif across < 0.05:
            value = -to_object
        else:
            value = -across - height_weight * abs(now.fingers[2] - fingers_height)
        picked = height >= lift_height - 0.01
        dropped = height < dropped_height and to_target > 0.02 and to_object > 0.02
        if picked and not dropped:
            value += 100 * lift_height
            if to_object < 0.1:
                head = dist(now.peg_head, target) if peg else 0.0
                value += max(_bonus(start.distance, head if head > 0.05 else to_target), 0.0)
        elif to_object < 0.1 and height > dropped_height:
            value += 100 * min(lift_height, height)
        return value

    return reward


REWARDS: dict[str, Callable[[Start], Reward]] = {
    "reach": _reach,
    "push": _planar,
    "pick-place": lambda start: _picking(start, height_weight=2.0, peg=False),
    "door-open": _planar,
    "drawer-open": _along(1),
    "drawer-close": _along(1),
    "button-press-topdown": _along(2),
    "peg-insert-side": lambda start: _picking(start, height_weight=1.0, peg=True),
    "window-open": _along(0, below_zero=True),
    "window-close": _along(0, below_zero=True),
}
