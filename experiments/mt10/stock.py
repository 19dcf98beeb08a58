"""The stock backend: Meta-World's environments, stepped and reset by their own code; the lean one's reference."""

from __future__ import annotations

import numpy as np

from experiments.mt10.observations import FRAME_SIZE
from experiments.mt10.scene import Scene, get_scene, reset_to


class StockEnvironment:
    """One task of one seed. ``goals``: ``[number, 3 or 6]``, of which each reset takes one."""

    def __init__(self, task: str, goals: np.ndarray, reward_version: str) -> None:
        self._scene: Scene = get_scene(task)
        self._simulator = self._scene.simulator
        self._reward_version = reward_version
        self._environment = self._simulator.classes[task](reward_function_version=reward_version)
        self.goals = goals

    def reset(self, goal: int) -> np.ndarray:
        """Start an episode with that goal; the observation ``[39]``."""
        return reset_to(self._simulator, self._environment, self.goals[goal])

    def step(self, action: list[float]) -> tuple[np.ndarray, float, bool]:
        """Observation ``[39]``, reward, and success by the v2 definition, after an action of four numbers."""
        environment, values = self._environment, np.array(action)
        observation, reward, _, _, info = environment.step(values)
        if self._reward_version != "v2":
            environment.reward_function_version = "v2"
            _, info = environment.evaluate_state(observation, values)
            environment.reward_function_version = self._reward_version
        return observation, float(reward), bool(info["success"])

    def get_state(self) -> tuple[np.ndarray, np.ndarray]:
        """The physics state and the last frame ``[18]``."""
        return self._scene.physics(self._environment.data), self._environment._prev_obs.copy()

    def set_state(self, goal: int, physics: np.ndarray, frame: np.ndarray, steps: int) -> None:
        """Go to a state of :meth:`get_state`, ``steps`` steps after a reset to ``goal``."""
        self.reset(goal)  # a full one: rewards refer to what it leaves behind
        self._scene.set_physics(self._environment.data, physics)
        self._environment._prev_obs = frame[:FRAME_SIZE].copy()
        self._environment.curr_path_length = steps

    def close(self) -> None:
        self._environment.close()
