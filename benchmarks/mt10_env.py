"""Steps per second of MT10's environments, Meta-World's own against the lean ones, in one process on one thread.

    python -m benchmarks.mt10_env [--episodes 5] [--rewards v2] [--tasks reach push ...]

The actions are those of Meta-World's scripted experts with noise (deviation 0.1), recorded before. Each episode of
150 steps is then replayed by both, one after the other; stock is ``reset`` and ``step`` of Meta-World's task class
without any wrapper. Times are CPU time of the process: medians over the episodes, microseconds a step, and with the
reset that begins each episode in steps per second. *mj_step*: how much of a lean step's time passes inside MuJoCo's
five substeps, which both sides make. *differ by*: the largest difference of an observation and of a reward. *all ten*
(or as many as are given): the sum of the tasks' times, as in a vector step of all.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy reads them

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from experiments.mt10.lean import LeanEnvironment
from experiments.mt10.scene import get_scene, reset_to
from experiments.mt10.simulator import load_simulator
from experiments.mt10.tasks import TASKS

_HORIZON = 150
_NOISE = 0.1


class Episode(NamedTuple):
    observations: np.ndarray  # [steps + 1, 39], float64, the reset's first
    rewards: np.ndarray  # [steps]
    reset: float  # seconds
    steps: float  # seconds
    physics: float = 0.0  # seconds of another playing of the same, inside mj_step


def play(reset: Callable[[], np.ndarray], step: Callable[[Any], tuple[np.ndarray, float]], actions: Any) -> Episode:
    started = time.process_time()
    observation = reset()
    reset_seconds = time.process_time() - started
    observations, rewards = [observation.copy()], []
    seconds = 0.0
    for action in actions:
        started = time.process_time()
        observation, reward = step(action)
        seconds += time.process_time() - started
        observations.append(observation.copy())
        rewards.append(reward)
    return Episode(np.array(observations), np.array(rewards), reset_seconds, seconds)


def physics_seconds(lean: LeanEnvironment, goal: int, actions: list[list[float]]) -> float:
    """CPU seconds inside ``mj_step`` over an episode."""
    inner, spent = lean._mj_step, 0.0

    def timed(*arguments: Any) -> None:
        nonlocal spent
        started = time.process_time()
        inner(*arguments)
        spent += time.process_time() - started

    lean._mj_step = timed
    lean.reset(goal)
    for action in actions:
        lean.step(action)
    lean._mj_step = inner
    return spent


def measure(task: str, rewards: str, n_episodes: int) -> tuple[list[Episode], list[Episode]]:
    """Episodes by Meta-World's class and by ours, each of another goal."""
    from metaworld.policies import ENV_POLICY_MAP

    simulator = load_simulator()
    goals = get_scene(task).goals(0, n_episodes)
    stock = simulator.classes[task](reward_function_version=rewards)
    lean = LeanEnvironment(task, goals, rewards)
    rng = np.random.default_rng(0)
    theirs, ours = [], []
    for number, goal in enumerate(goals):
        policy: Any = ENV_POLICY_MAP[f"{task}-v3"]()  # type: ignore[abstract]
        observation, actions = reset_to(simulator, stock, goal), []
        for _ in range(_HORIZON):
            action = np.clip(policy.get_action(observation) + _NOISE * rng.normal(size=4), -1.0, 1.0)
            actions.append(action)
            observation, *_ = stock.step(action)
        lean.reset(number)  # takes the snapshot, once for each goal
        theirs.append(play(lambda: stock.reset()[0], lambda action: stock.step(action)[:2], actions))
        lists = [action.tolist() for action in actions]
        played = play(partial(lean.reset, number), lambda action: lean.step(action)[:2], lists)
        ours.append(played._replace(physics=physics_seconds(lean, number, lists)))
    return theirs, ours


def seconds(episodes: list[Episode]) -> np.ndarray:
    """Median seconds of a reset, of an episode's steps, and of these inside mj_step where that was measured."""
    return np.array([statistics.median(getattr(e, part) for e in episodes) for part in ("reset", "steps", "physics")])


def row(name: str, stock: np.ndarray, lean: np.ndarray, n_tasks: int, difference: np.ndarray) -> str:
    n_steps = n_tasks * _HORIZON
    rates = [n_steps / times[:2].sum() for times in (stock, lean)]
    inside = lean[2] / lean[1]
    return (
        f"| {name} | {1e3 * stock[0] / n_tasks:.1f} | {1e6 * stock[1] / n_steps:.0f} | {rates[0]:,.0f} "
        f"| {1e3 * lean[0] / n_tasks:.3f} | {1e6 * lean[1] / n_steps:.0f} | {inside:.0%} | {rates[1]:,.0f} "
        f"| {rates[1] / rates[0]:.1f}× | {difference[0]:.0e} / {difference[1]:.0e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=5, help="of each task, each with another goal (default 5)")
    parser.add_argument("--rewards", choices=("v1", "v2"), default="v2")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK")
    arguments = parser.parse_args()
    if arguments.episodes < 1:
        parser.error("give at least one episode.")
    warnings.filterwarnings("ignore", module="metaworld")  # the experts' actions leave [-1, 1]

    print(f"{arguments.episodes} episodes of {_HORIZON} steps a task, {arguments.rewards} rewards\n")
    print(
        "| task | stock: reset, ms | step, µs | steps/s | lean: reset, ms | step, µs | mj_step | steps/s | ratio "
        "| differ by |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    stock_sum, lean_sum, largest = np.zeros(3), np.zeros(3), np.zeros(2)
    for task in arguments.tasks:
        theirs, ours = measure(task, arguments.rewards, arguments.episodes)
        pairs = list(zip(theirs, ours, strict=True))
        observation = max(np.abs(a.observations - b.observations).max() for a, b in pairs)
        reward = max(np.abs(a.rewards - b.rewards).max() for a, b in pairs)
        difference = np.array([observation, reward])
        stock, lean = seconds(theirs), seconds(ours)
        print(row(task, stock, lean, 1, difference), flush=True)
        stock_sum, lean_sum, largest = stock_sum + stock, lean_sum + lean, np.maximum(largest, difference)
    print(row("all ten" if len(arguments.tasks) == 10 else "all", stock_sum, lean_sum, len(arguments.tasks), largest))


if __name__ == "__main__":
    main()
