"""One QM9 training step, the plain way against ours: ``python -m benchmarks.qm9_step [--repeats 3] [--threads 2]``.

The plain way is what the released code and its descendants do: PyTorch Geometric's network on complete graphs and,
for Nash-MTL, the passes of ``benchmarks/plain_nash.py``. Ours is the dense network and ``methods``. Both get the same
weights and the same batch of real molecules at the paper's sizes (120 molecules, 11 targets, 64 features, 128 hidden
units). One warm-up step, then the median over the repeats, alternating between the two. The peak memory of each is
the growth of the process's resident set, measured in a child process of its own.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch
from torch_geometric.data import Batch as GraphBatch
from torch_geometric.data import Data

from benchmarks.plain_nash import plain_nash_backward
from benchmarks.timing import medians
from experiments.common.memory import keep_freed_memory
from experiments.qm9.batches import Batch, DenseMolecules
from experiments.qm9.build import open_molecules
from experiments.qm9.graphs import complete_graph
from experiments.qm9.metrics import COLUMNS
from experiments.qm9.model import DenseNetwork
from experiments.qm9.reference import ReferenceNetwork
from methods import get_method

N_TASKS, BATCH = 11, 120


def make_problem(seed: int = 0) -> tuple[Data, Batch, ReferenceNetwork, DenseNetwork]:
    """The same 120 molecules in both forms, and both networks with the same parameters."""
    molecules = open_molecules(Path("data/qm9"), "qm9pack")
    generator = torch.Generator().manual_seed(seed)
    indices = torch.randperm(len(molecules), generator=generator)[:BATCH]
    chosen = molecules.subset(indices[molecules.size[indices].argsort(stable=True)])
    targets = chosen.targets[:, COLUMNS]
    targets = (targets - targets.mean(0)) / targets.std(0)
    graphs = GraphBatch.from_data_list([complete_graph(chosen.pyg_data(i)) for i in range(BATCH)])
    graphs.y = targets
    dense = DenseMolecules.from_molecules(chosen, targets, "cpu").batch(torch.arange(BATCH))
    torch.manual_seed(seed)
    plain = ReferenceNetwork(N_TASKS)
    ours = DenseNetwork(N_TASKS)
    ours.load_state_dict(plain.state_dict())
    return graphs, dense, plain, ours


def plain_step(graphs: Data, network: ReferenceNetwork, method: str) -> None:
    """As every peer does it."""
    predictions, _ = network(graphs)
    losses = (predictions - graphs.y).square().mean(0)
    network.zero_grad()
    if method == "ls":
        losses.sum().backward()
        return
    plain_nash_backward(losses, [p for name, p in network.named_parameters() if not name.startswith("heads")])


def our_step(batch: Batch, network: DenseNetwork, method: str) -> None:
    predictions, representation = network(batch)
    losses = (predictions - batch.targets).square().mean(0)
    get_method(method, N_TASKS).backward(
        losses,
        shared_parameters=network.shared_parameters(),
        task_specific_parameters=network.task_specific_parameters(),
        representation=representation,
    )


def largest_difference(plain: ReferenceNetwork, ours: DenseNetwork) -> float:
    """Largest difference of a parameter's gradients, relative to that parameter's largest gradient."""
    other, worst = dict(ours.named_parameters()), 0.0
    for name, parameter in plain.named_parameters():
        first, second = parameter.grad, other[name].grad
        assert first is not None and second is not None
        if first.any():
            worst = max(worst, float((first - second).abs().max() / first.abs().max()))
    return worst


def peak_memory(which: str, method: str, threads: int) -> float:
    """Growth of the peak resident set in MiB over one step, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.qm9_step", "--child", which, method, "--threads", str(threads)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def child(which: str, method: str) -> None:
    graphs, dense, plain, ours = make_problem()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark to what is resident now
    before = resident_peak()
    if which == "plain":
        plain_step(graphs, plain, method)
    else:
        our_step(dense, ours, method)
    print((resident_peak() - before) / 1024)


def resident_peak() -> int:
    """High-water mark of the resident set, KiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--child", nargs=2, metavar=("WHICH", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    if arguments.child:
        child(*arguments.child)
        return

    graphs, dense, plain, ours = make_problem()
    print(f"{BATCH} molecules, {graphs.num_nodes} atoms, {graphs.num_edges} edges, {arguments.threads} threads, ")
    print(f"torch {torch.__version__}; median of {arguments.repeats} steps\n")
    print("| step | plain, s | ours, s | ratio | plain, MiB | ours, MiB | gradients differ by |")
    print("|---|---|---|---|---|---|---|")
    for method in ("ls", "nash_mtl"):
        plain_step(graphs, plain, method)
        our_step(dense, ours, method)
        difference = largest_difference(plain, ours)
        ways = (partial(plain_step, graphs, plain, method), partial(our_step, dense, ours, method))
        slow, fast = medians(ways, arguments.repeats)
        memory = [peak_memory(which, method, arguments.threads) for which in ("plain", "ours")]
        print(
            f"| {method} | {slow:.2f} | {fast:.3f} | {slow / fast:.1f} | {memory[0]:.0f} | {memory[1]:.0f} "
            f"| {difference:.0e} |"
        )


if __name__ == "__main__":
    main()
