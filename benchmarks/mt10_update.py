"""One MT10 update three ways: ``python -m benchmarks.mt10_update [--agents mtl_sac] [--repeats 7] [--threads 1]``.

An update is that of the critics, the actor and the temperature, and of the target networks' averages, from a batch of
10 × 128 random transitions of 39 observations, networks as in the paper (400 units).

* *plain*: one backward pass of the losses' sum, as MTL SAC takes it;
* *K passes*: Nash-MTL with ten backward passes for critics and actor each, as mtrl's methods and their descendants
  do;
* *ours*: Nash-MTL with the ten gradients from one backward pass.

Both Nash-MTL updates solve the bargaining problem exactly, at every update. The last columns compare the critics' and
the actor's ten gradients of the two, by the largest difference over a parameter relative to the longest of its ten
gradients. Warm-up first, then the median over repeats, which alternate between the three.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import seconds
from experiments.common.memory import keep_freed_memory
from experiments.mt10.agents import AGENTS
from experiments.mt10.component import Component
from experiments.mt10.learner import Learner
from experiments.mt10.replay import Replay
from experiments.mt10.sac import SACOptions
from methods import LinearScalarization, Method, NashMTL

N_TASKS, OBSERVATIONS, ACTIONS, SAMPLES = 10, 39, 4, 128
WAYS = ("plain", "K passes", "ours")


def make_learner(agent: str, way: str, seeds: Sequence[int], device: str) -> Learner:
    def make_method(seed: int) -> Method:
        if way == "plain":
            return LinearScalarization(N_TASKS)
        return NashMTL(N_TASKS, task_gradients="loop" if way == "K passes" else "auto")

    return Learner(
        agent,
        n_tasks=N_TASKS,
        observation_size=OBSERVATIONS,
        action_size=ACTIONS,
        seeds=seeds,
        make_method=make_method,
        options=SACOptions(temperature="shared"),
        device=device,
    )


def random_replay(n_seeds: int, device: str, transitions: int = 2000) -> Replay:
    replay = Replay(n_seeds, N_TASKS, transitions, OBSERVATIONS, ACTIONS, device)
    generator = torch.Generator().manual_seed(0)
    shape = (n_seeds, N_TASKS)
    for _ in range(transitions):
        observations = torch.randn(2, *shape, OBSERVATIONS, generator=generator)
        actions = 2.0 * torch.rand(*shape, ACTIONS, generator=generator) - 1.0
        replay.add(observations[0], actions, torch.randn(*shape, generator=generator), observations[1])
    return replay


def largest_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """Over parameters [S, C, K, …]: the largest difference, relative to the longest of its K gradients."""
    worst = 0.0
    for a, b in zip(first, second, strict=True):
        difference = (a - b).flatten(3 if a.dim() > 3 else 2).norm(dim=-1)
        worst = max(worst, float(difference.max() / b.flatten(3 if b.dim() > 3 else 2).norm(dim=-1).max()))
    return worst


def compared(agent: str, replay: Replay, device: str) -> tuple[float, float]:
    """The difference of the ten gradients by K passes and by ours, of critics and actor."""
    found = {}
    for way in ("K passes", "ours"):
        learner = make_learner(agent, way, [0], device)
        batch = replay.sample(SAMPLES, learner.generators)
        noise = torch.randn(1, N_TASKS, SAMPLES, ACTIONS, generator=learner.generators[0], device=device)
        critic = _gradients(learner.critic, *batch, noise)
        actor = _gradients(learner.actor, batch.observations, batch.weights, noise)
        found[way] = (critic, actor)
    (critic_loop, actor_loop), (critic_ours, actor_ours) = found["K passes"], found["ours"]
    return largest_difference(critic_ours, critic_loop), largest_difference(actor_ours, actor_loop)


def _gradients(component: Component, *inputs: Tensor | None) -> list[Tensor]:
    return component.task_gradients(*inputs).per_tensor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", nargs="+", default=["mtl_sac"], choices=AGENTS[1:])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="seeds updated together")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    print(f"{N_TASKS} x {SAMPLES} samples, {OBSERVATIONS} observations, {arguments.seeds} seed(s), ", end="")
    print(f"{arguments.threads} thread(s), torch {torch.__version__}, {arguments.device}; ms, ", end="")
    print(f"median of {arguments.repeats}\n")
    print("| agent | plain | K passes | ours | K passes / plain | ours / plain | critics differ by | actor |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for agent in arguments.agents:
        seeds = range(arguments.seeds)
        replay = random_replay(arguments.seeds, arguments.device)
        learners = {way: make_learner(agent, way, seeds, arguments.device) for way in WAYS}
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for repeat in range(-2, arguments.repeats):
            for way, learner in learners.items():
                batch = replay.sample(SAMPLES, learner.generators)
                milliseconds = 1e3 * seconds(partial(learner.update, batch), arguments.device)
                if repeat >= 0:
                    times[way].append(milliseconds)
        plain, loop, ours = (statistics.median(times[way]) for way in WAYS)
        differences = compared(agent, random_replay(1, arguments.device), arguments.device)
        print(
            f"| {agent} | {plain:.0f} | {loop:.0f} | {ours:.0f} | {loop / plain:.2f} | {ours / plain:.2f} "
            f"| {differences[0]:.0e} | {differences[1]:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
