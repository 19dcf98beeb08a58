"""The ten tasks of MT10, in Meta-World's order."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.common.errors import UserError

TASKS: tuple[str, ...] = (
    "reach",
    "push",
    "pick-place",
    "door-open",
    "drawer-open",
    "drawer-close",
    "button-press-topdown",
    "peg-insert-side",
    "window-open",
    "window-close",
)

ACTION_SIZE = 4  # the hand's motion along x, y and z, and the gripper's effort; each in [-1, 1]


def check_tasks(tasks: Sequence[str]) -> tuple[str, ...]:
    """``tasks`` as a tuple; raises :class:`UserError` for an unknown or repeated name, or none at all."""
    unknown = [task for task in tasks if task not in TASKS]
    if unknown:
        raise UserError(f"unknown MT10 task {unknown[0]!r}; choose from {', '.join(TASKS)}.")
    if not tasks or len(set(tasks)) < len(tasks):
        raise UserError(f"tasks are {list(tasks)}; give at least one, and each only once.")
    return tuple(tasks)
