"""Time and accuracy of the Nash bargaining solvers: the exact one against the paper's sequence of convex problems.

Both solve the same Gramians in one process on one thread: a sequence of correlated gradient matrices, as successive
training steps have, the CCP (:mod:`methods.ccp`, at most 20 convex problems through cvxpy) started from its previous
weights as in a training. Times are milliseconds of CPU time for one solve, the median over the sequence after
its first Gramian; *problems* is the median number of convex problems in a CCP solve; residuals are max|α∘(Mα) − 1|
against the Gramian given, median and largest. *Well* scaled gradients have length about one, *badly* scaled ones
lengths spread over 1e-4 … 1e4.

    python -m benchmarks.nash_solver [--gramians 10] [--tasks 2 3 5 10 11 20 40]
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")  # before numpy reads them

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np

from methods.arrays import Matrix, Vector
from methods.bargaining import BargainingSolution, residual, solve_bargaining
from methods.ccp import solve_bargaining_ccp

_CORRELATION = 0.9  # of a gradient's entries with those of the step before
_REPEATS = 20  # of the exact solver, which is over in a fraction of a millisecond


def gramians(n_tasks: int, number: int, decades: float) -> Iterator[Matrix]:
    """A sequence of correlated Gramians; the tasks' lengths are spread evenly over 10^±decades."""
    rng = np.random.default_rng(n_tasks)
    scales = np.logspace(-decades, decades, n_tasks)
    gradients = rng.normal(size=(256, n_tasks)) / 16.0
    for _ in range(number):
        yield (gradients * scales).T @ (gradients * scales)
        noise = rng.normal(size=gradients.shape) / 16.0
        gradients = _CORRELATION * gradients + np.sqrt(1.0 - _CORRELATION**2) * noise


def measure(
    solve: Callable[[Matrix, Vector], BargainingSolution], sequence: list[Matrix], repeats: int
) -> tuple[float, np.ndarray, float]:
    """Milliseconds a solve, residuals and iterations; ``solve`` takes a Gramian and the weights before."""
    alpha: Vector = np.ones(len(sequence[0]))
    milliseconds, residuals, iterations = [], [], []
    for matrix in sequence:
        started = time.process_time()
        for _ in range(repeats):
            solution = solve(matrix, alpha)
        milliseconds.append(1e3 * (time.process_time() - started) / repeats)
        residuals.append(residual(matrix, solution.weights))
        iterations.append(solution.iterations)
        alpha = solution.weights if (solution.weights > 0).all() else np.ones(len(matrix))
    return float(np.median(milliseconds[1:])), np.array(residuals[1:]), float(np.median(iterations[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Nash bargaining solvers: exact against CCP.")
    parser.add_argument("--gramians", type=int, default=10, help="length of each sequence, at least 2 (default 10)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 3, 5, 10, 11, 20, 40], metavar="K")
    arguments = parser.parse_args()
    if arguments.gramians < 2:
        parser.error("a sequence has at least 2 Gramians: the first is not timed.")

    print("| scales | K | exact, ms | CCP, ms | problems | ratio | exact residual, median / max | CCP residual |")
    print("|---|---:|---:|---:|---:|---:|---|---|")
    for scaling, decades in (("well", 0.0), ("badly", 4.0)):
        for n_tasks in arguments.tasks:
            sequence = list(gramians(n_tasks, arguments.gramians, decades))
            exact, ours, _ = measure(lambda matrix, _: solve_bargaining(matrix), sequence, _REPEATS)
            ccp, theirs, problems = measure(
                lambda matrix, start: solve_bargaining_ccp(matrix, start, 20), sequence, 1
            )
            print(
                f"| {scaling} | {n_tasks} | {exact:.3f} | {ccp:.1f} | {problems:.0f} | {ccp / exact:.0f}× "
                f"| {np.median(ours):.0e} / {ours.max():.0e} | {np.median(theirs):.0e} / {theirs.max():.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
