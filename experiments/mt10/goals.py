"""Goals of a task: where its object starts and must go, the same for the same seed on every machine.

They are those of ``metaworld.MT1(task, seed)``, which finds them by resetting an environment 50 times (half a second
a task, with numpy's global generator); here they come from the same stream of random numbers alone. The number of
goals is ours to choose: Meta-World keeps it in a module variable that one call changes for all later ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# Object and goal closer than this in the plane are drawn again (metres).
_APART = {"reach": 0.15, "push": 0.15, "pick-place": 0.15, "peg-insert-side": 0.1}
_DRAWS = 2  # a reset of Meta-World's draws twice and keeps the second


def goal_vectors(task: str, seed: int, number: int, space: Any) -> np.ndarray:
    """``number`` goals ``[number, 3 or 6]``, float64, of Meta-World's reset ``space`` of that task."""
    stream = np.random.RandomState(seed)
    goals = []
    for _ in range(number):
        for _ in range(_DRAWS):
            goal = _draw(stream, space, _APART.get(task, 0.0))
        goals.append(goal)
    return np.array(goals)


def _draw(stream: np.random.RandomState, space: Any, apart: float) -> np.ndarray:
    while True:
        goal = stream.uniform(space.low, space.high, size=space.low.size)
        if not apart or np.linalg.norm(goal[:2] - goal[3:5]) >= apart:
            return goal
