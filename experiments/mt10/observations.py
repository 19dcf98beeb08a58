"""What an agent sees of Meta-World's 39 numbers.

These are the current and the previous frame, 18 numbers each (hand x, y, z; gripper opening in [0, 1]; the first
object's position and quaternion; zeros for a second object, which no MT10 task has), and the goal's x, y, z.
Lengths are in metres.
"""

from __future__ import annotations

import numpy as np

from experiments.mt10.profiles import Profile

FULL_SIZE = 39
FRAME_SIZE = 18
_PAPER_VIEW = [0, 1, 2, 4, 5, 6, 11, 12, 13, 36, 37, 38]  # hand, both objects' positions, goal: 12 numbers, as in v1


class ObservationView:
    """The profile's view: ``[S, K, 39]`` float64 to ``[S, K, O]`` float32."""

    def __init__(self, profile: Profile, n_tasks: int) -> None:
        self._columns = _PAPER_VIEW if profile.observation == "paper" else slice(None)
        self._n_columns = len(_PAPER_VIEW) if profile.observation == "paper" else FULL_SIZE
        self._indicators = np.eye(n_tasks, n_tasks if profile.task_one_hot else 0, dtype=np.float32)  # [K, K or 0]
        self.size = self._n_columns + self._indicators.shape[1]

    def __call__(self, full: np.ndarray) -> np.ndarray:
        view = np.empty((*full.shape[:2], self.size), dtype=np.float32)
        view[..., : self._n_columns] = full[..., self._columns]
        view[..., self._n_columns :] = self._indicators
        return view
