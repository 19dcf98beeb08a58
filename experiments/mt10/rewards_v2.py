"""Meta-World 3.1.1's v2 rewards of the ten tasks, 0 … 10, for plain numbers, and its criteria of success.

The same functions as the task classes' ``compute_reward`` and ``evaluate_state``, in a form that computes what is
fixed for an episode once. The tests compare them with Meta-World's over whole episodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from math import dist

from experiments.mt10.readings import Point, Reading, Start
from experiments.mt10.reward_terms import Caging, PickPlaceCaging, both, effort, gaussian, long_tail

Reward = Callable[[Reading], float]
Criterion = Callable[[Reading], bool]

_NEAR_TARGET = 0.05  # radius around the target within which most tasks' placing reward is one (metres)


def _reach(start: Start) -> Reward:
    target, margin = start.target, dist(start.hand, start.target)
    return lambda now: 10 * long_tail(dist(now.fingers, target), _NEAR_TARGET, margin)


def _push(start: Start) -> Reward:
    target, margin = start.target, dist(start.object, start.target)
    caging = Caging(start, object_radius=0.015, reach=0.05)

    def reward(now: Reading) -> float:
        to_target = dist(now.object, target)
        if to_target < _NEAR_TARGET:
            return 10.0
        value = 2 * caging(now)
        if dist(now.object, now.fingers) < 0.02 and now.opening > 0:
            value += 1.0 + value + 5.0 * long_tail(to_target, _NEAR_TARGET, margin)
        return value

    return reward


def _pick_place(start: Start) -> Reward:
    target, margin = start.target, dist(start.object, start.target)
    start_height = start.object[2]
    caging = PickPlaceCaging(start, object_radius=0.015, reach=0.05)

    def reward(now: Reading) -> float:
        to_target = dist(now.object, target)
        if to_target < _NEAR_TARGET:
            return 10.0
        in_place = long_tail(to_target, _NEAR_TARGET, margin)
        value = both(caging(now), in_place)
        lifted = now.object[2] - 0.01 > start_height
        if lifted and now.opening > 0 and dist(now.object, now.fingers) < 0.02:
            value += 1.0 + 5.0 * in_place
        return value

    return reward


def _door_open(start: Start) -> Reward:
    target_x = start.target[0]
    funnel = 0.12  # radius around the handle in which the hand may be at any height

    def reward(now: Reading) -> float:
        if abs(now.object[0] - target_x) <= 0.08:
            return 10.0
        x, y, z = now.hand
        door_x, door_y, door_z = now.object[0] - 0.05, now.object[1], now.object[2]
        radius = math.hypot(x - door_x, y - door_y)
        floor = 0.0 if radius <= funnel else 0.04 * math.log(radius - funnel) + 0.4
        above = 1.0 if z >= floor else long_tail(floor - z, 0.01, floor / 2.0)
        off = dist((x, y, z), (door_x + 0.05, door_y + 0.03, door_z - 0.01))
        ready = both(above, long_tail(off, funnel / 2.0, 0.5))
        left_to_open = math.pi / 2.0 + math.pi / 6 + now.door_angle
        opened = 0.8 * long_tail(left_to_open, 0.5, math.pi / 3.0)
        if now.door_angle < -math.pi / 90.0:
            opened += 0.2
        return 2.0 * both(ready, (now.grip + 1.0) / 2.0) + 8.0 * opened

    return reward


def _drawer_open(start: Start) -> Reward:
    target = start.target
    travel = 0.2

    def planar(a: Point, b: Point) -> float:  # errors in the plane count three times
        return math.hypot(3.0 * (a[0] - b[0]), 3.0 * (a[1] - b[1]), a[2] - b[2])

    margin = planar((target[0], target[1] + travel, target[2]), start.fingers)

    def reward(now: Reading) -> float:
        opening = long_tail(dist(now.object, target), 0.02, travel)
        return 5.0 * (long_tail(planar(now.object, now.hand), 0.01, margin) + opening)

    return reward


def _drawer_close(start: Start) -> Reward:
    target = start.target
    margin = abs(dist(start.object, target) - _NEAR_TARGET)
    reach_margin = abs(dist(start.object, start.fingers) - 0.005)

    def reward(now: Reading) -> float:
        to_target = dist(now.object, target)
        if to_target <= _NEAR_TARGET + 0.015:
            return 10.0
        reach = both(gaussian(dist(now.object, now.fingers), 0.005, reach_margin), effort(now.grip))
        return 10 * both(reach, long_tail(to_target, _NEAR_TARGET, margin))

    return reward


def _button_press_topdown(start: Start) -> Reward:
    target_z, fingers_start, travel = start.target[2], start.fingers, start.button_travel

    def reward(now: Reading) -> float:
        to_object = dist(now.object, now.fingers)
        near = long_tail(to_object, 0.01, dist(now.object, fingers_start))
        value = 5 * both(1 - now.opening, near)
        if to_object <= 0.03:
            value += 5 * long_tail(abs(target_z - now.object[2]), 0.005, travel)
        return value

    return reward


def _peg_error(head: Point, target: Point) -> float:
    """Distance of the peg's head to the hole; errors across the hole count twice."""
    return math.hypot(head[0] - target[0], 2.0 * (head[1] - target[1]), 2.0 * (head[2] - target[2]))


def _prism(point: Point, zero: Point, one: Point) -> float:
    """Within the box: the product of how far the point is from corner ``zero`` (0) to ``one`` (1); outside one."""
    product = 1.0
    for p, a, b in zip(point, zero, one, strict=True):
        if not (a <= p <= b or b <= p <= a):
            return 1.0
        product *= (p - a) / (b - a)
    return product


def _peg_insert_side(start: Start) -> Reward:
    target, margin = start.target, _peg_error(start.peg_head, start.target)
    start_height = start.object[2]
    (first, second), caging = start.boxes, Caging(start, object_radius=0.0075, reach=0.03)

    def reward(now: Reading) -> float:
        error = _peg_error(now.peg_head, target)
        if error <= 0.07:
            return 10.0
        outside = both(_prism(now.peg_head, *second), _prism(now.peg_head, *first))
        in_place = both(long_tail(error, 0.07, margin), outside)
        lifted = now.object[2] - 0.01 > start_height
        if lifted and now.opening > 0 and dist(now.object, now.fingers) < 0.08:
            return both(1.0, in_place) + 1.0 + 5 * in_place
        return both(caging(now), in_place)

    return reward


def _window(start: Start, start_x: float, reaching: Callable[[float, float, float], float]) -> Reward:
    target_x = start.target[0]
    margin = abs(abs(start_x - target_x) - _NEAR_TARGET)
    reach_margin = abs(dist(start.window_handle, start.fingers) - 0.02)

    def reward(now: Reading) -> float:
        in_place = long_tail(abs(now.object[0] - target_x), _NEAR_TARGET, margin)
        return 10 * both(reaching(dist(now.object, now.fingers), 0.02, reach_margin), in_place)

    return reward


def _window_open(start: Start) -> Reward:
    return _window(start, start.object[0], long_tail)


def _window_close(start: Start) -> Reward:
    return _window(start, start.window_handle[0], gaussian)


REWARDS: dict[str, Callable[[Start], Reward]] = {
    "reach": _reach,
    "push": _push,
    "pick-place": _pick_place,
    "door-open": _door_open,
    "drawer-open": _drawer_open,
    "drawer-close": _drawer_close,
    "button-press-topdown": _button_press_topdown,
    "peg-insert-side": _peg_insert_side,
    "window-open": _window_open,
    "window-close": _window_close,
}


def success_criterion(task: str, start: Start) -> Criterion:
    """Whether a step counts as success, by the definition that goes with the v2 rewards."""
    target = start.target
    target_x, _, target_z = target
    criteria: dict[str, Criterion] = {
        "reach": lambda now: dist(now.fingers, target) <= 0.05,
        "push": lambda now: dist(now.object, target) <= 0.05,
        "pick-place": lambda now: dist(now.object, target) <= 0.07,
        "door-open": lambda now: abs(now.object[0] - target_x) <= 0.08,
        "drawer-open": lambda now: dist(now.object, target) <= 0.03,
        "drawer-close": lambda now: dist(now.object, target) <= 0.05 + 0.015,
        "button-press-topdown": lambda now: abs(target_z - now.object[2]) <= 0.024,
        "peg-insert-side": lambda now: _peg_error(now.peg_head, target) <= 0.07,
        "window-open": lambda now: abs(now.object[0] - target_x) <= 0.05,
        "window-close": lambda now: abs(now.object[0] - target_x) <= 0.05,
    }
    return criteria[task]
