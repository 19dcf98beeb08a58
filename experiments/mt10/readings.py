"""What rewards and success are computed from, as plain numbers: at the start of an episode and after a step.

Lengths are in metres; points are tuples (x, y, z).
"""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float, float]


class Reading:
    """What is read from the simulator after every step; one object per environment, overwritten in place."""

    __slots__ = (
        "door_angle",
        "fingers",
        "grip",
        "hand",
        "left_pad_y",
        "object",
        "opening",
        "peg_head",
        "right_pad_y",
    )

    hand: Point  # within the hand's bounds, as observed
    opening: float  # of the gripper, 0 … 1
    object: Point  # as observed
    fingers: Point  # the middle between the finger tips
    grip: float  # the action's fourth component
    left_pad_y: float
    right_pad_y: float
    peg_head: Point
    door_angle: float


@dataclass(frozen=True)
class Start:
    """What a reset has fixed for the episode; zeros where the task has no such thing."""

    target: Point
    object: Point
    hand: Point  # where a reset sends the hand
    fingers: Point
    object_height: float
    lift_height: float  # of the object, at which picking it up is complete
    distance: float  # from the object's start to the target, as the task's v1 reward measures it
    button_travel: float
    peg_head: Point
    window_handle: Point
    boxes: tuple[tuple[Point, Point], ...]  # of the peg task: regions beside the hole, as opposite corners
