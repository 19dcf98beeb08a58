"""The toy example's trajectories: one vectorised pass against a plain loop per start and step, in one process.

Both make the same steps (``tests/toy/test_trajectories.py``). Times are seconds of CPU time for five runs of
``--steps`` steps each, the plain loop through ``method.backward`` with autograd and ``torch.optim.Adam``; once from
the paper's five starts and once from five points on the Pareto front. There the gradients oppose each other to
rounding, and at many steps Nash-MTL's own solver is asked whether there is a solution, at the same cost both ways.

    python -m benchmarks.toy [--steps 200] [--methods ls mgda …]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy reads them

import argparse

import numpy as np

from benchmarks.timing import cpu_seconds
from experiments.toy.problem import FRONT_T2, STARTS
from experiments.toy.trajectories import STEPS, reference_run, run
from experiments.toy.updates import TOY_METHODS

#: Five points spread over the inner part of the front.
ON_THE_FRONT = np.stack([np.linspace(-5.0, 5.0, 5), np.full(5, FRONT_T2)], axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="Toy trajectories: vectorised against a plain loop.")
    parser.add_argument("--steps", type=int, default=200, help="steps of each run (default 200)")
    parser.add_argument("--methods", nargs="+", default=[key for key in TOY_METHODS if key != "si"], metavar="KEY")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error(f"--steps is {arguments.steps}; give at least 1.")
    if unknown := sorted(set(arguments.methods) - set(TOY_METHODS)):
        parser.error(f"unknown methods {', '.join(unknown)}; choose from {', '.join(TOY_METHODS)}.")

    run(arguments.methods, steps=20)  # imports and caches, before the clock starts
    reference_run(arguments.methods[0], STARTS[0], steps=20)
    print("| runs from | method | plain loop, s | vectorised, s | ratio |")
    print("|---|---|---:|---:|---:|")
    estimates = []
    for place, points in (("the starts", STARTS), ("the front", ON_THE_FRONT)):
        total = 0.0
        for key in arguments.methods:
            plain = cpu_seconds(lambda: [reference_run(key, p, steps=arguments.steps) for p in points])  # noqa: B023
            alone = cpu_seconds(lambda: run([key], points, steps=arguments.steps))  # noqa: B023
            total += plain
            print(f"| {place} | {key} | {plain:.2f} | {alone:.3f} | {plain / alone:.0f}× |", flush=True)
        together = cpu_seconds(lambda: run(arguments.methods, points, steps=arguments.steps))  # noqa: B023
        print(f"| {place} | all in one pass | {total:.2f} | {together:.3f} | {total / together:.0f}× |", flush=True)
        estimates.append((total, together))
    plain, ours = (sum(column) / 2 * STEPS / arguments.steps for column in zip(*estimates, strict=True))
    print(f"\n{STEPS:,} steps, half of them on the front: about {plain / 60:.0f} minutes by the plain loop,", end=" ")
    print(f"{ours:.0f} s in one pass: {plain / ours:.0f}×.")


if __name__ == "__main__":
    main()
