"""A second forward pass after a step sees the same batch, the same dropout, and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.common.engine import Run
from experiments.common.second_forward import random_states, second_forward
from methods import FAMO, get_method

CPU = torch.device("cpu")


class NoisyNetwork(nn.Module):
    """Batch normalisation, which counts its forward passes, and dropout, which draws."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.trunk = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))
        self.heads = nn.ModuleList([nn.Linear(8, 1) for _ in range(2)])

    def shared_parameters(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def task_specific_parameters(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())


class NoisyProblem:
    """Two tasks, batches drawn once; ``asked`` notes the losses of every call."""

    splits: Sequence[str] = ("test",)
    keeps_best = False
    tasks: Sequence[str] = ("a", "b")

    def __init__(self, steps: int = 6) -> None:
        self.network = NoisyNetwork()
        self.model: nn.Module = self.network
        self.steps = steps
        self.inputs = torch.randn(steps, 16, 3, generator=torch.Generator().manual_seed(1))
        self.asked: list[tuple[Any, list[float]]] = []

    def losses(self, handle: int) -> tuple[list[Tensor], Tensor]:
        features = self.network.trunk(self.inputs[handle])
        losses = [(head(features) - k).square().mean() for k, head in enumerate(self.network.heads)]
        self.asked.append((handle, [loss.item() for loss in losses]))
        return losses, features

    def batches(self, epoch: int) -> Sequence[int]:
        return range(self.steps)

    def evaluate(self, split: str) -> dict[str, float]:
        return {"error": 1.0}

    def score(self, metrics: dict[str, dict[str, float]]) -> float:
        return metrics["test"]["error"]

    def results(self, entries: Sequence[dict[str, Any]], best_epoch: int) -> dict[str, Any]:
        return {"epoch": best_epoch, "metrics": {"error": 1.0}, "delta_m": None}

    def describe_score(self, score: float) -> str:
        return f"error {score}"


def trained(key: str, folder: Path, learning_rate: float = 0.01) -> tuple[NoisyProblem, Run, dict[str, Any]]:
    problem, method = NoisyProblem(), get_method(key, 2)
    optimizer = torch.optim.SGD(problem.model.parameters(), lr=learning_rate)
    torch.manual_seed(7)
    run = Run(
        problem=problem,
        method=method,
        optimizer=optimizer,
        scheduler=torch.optim.lr_scheduler.StepLR(optimizer, 100),
        folder=folder,
        record={"name": key, "status": "running"},
        epochs=1,
        checkpoint_every=0,
        device=CPU,
        show_progress=False,
    )
    return problem, run, run.train()


def test_buffers_and_generators_are_as_before() -> None:
    network = NoisyNetwork().train()
    inputs = torch.randn(16, 3)
    states = random_states(CPU)
    first = network.trunk(inputs)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    after = torch.get_rng_state()
    with second_forward(network, states, CPU):
        second = network.trunk(inputs)
        assert not second.requires_grad
    assert torch.equal(first, second), "the same units are dropped"
    assert torch.equal(torch.get_rng_state(), after)
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, buffers[name]), name
    assert torch.is_grad_enabled()


def test_the_loop_asks_a_second_time_for_a_method_that_wants_it(tmp_path: Path) -> None:
    problem, run, record = trained("famo", tmp_path)
    handles = [handle for handle, _ in problem.asked]
    assert handles == [step for step in range(problem.steps) for _ in range(2)]
    assert isinstance(run.method, FAMO) and run.method.updates == problem.steps
    assert record["epochs"][0]["solver_statuses"] == {"first": 1, "same_batch": problem.steps - 1}
    assert record["epochs"][0]["train_losses"]["a"] == pytest.approx(
        sum(losses[0] for _, losses in problem.asked[::2]) / problem.steps
    )
    counters = [b.item() for name, b in problem.model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counters == [problem.steps]


def test_without_a_step_both_passes_agree(tmp_path: Path) -> None:
    problem, run, _ = trained("famo", tmp_path, learning_rate=0.0)
    assert all(first == second for first, second in zip(problem.asked[::2], problem.asked[1::2], strict=True))
    assert isinstance(run.method, FAMO) and not run.method.logits.any()


def test_other_methods_cost_one_pass_and_the_same_random_numbers(tmp_path: Path) -> None:
    plain, _, _ = trained("ls", tmp_path / "ls")
    assert [handle for handle, _ in plain.asked] == list(range(plain.steps))
    famo, _, _ = trained("famo", tmp_path / "famo", learning_rate=0.0)
    still, _, _ = trained("ls", tmp_path / "still", learning_rate=0.0)
    assert famo.asked[::2] == still.asked, "dropout and statistics of the next step do not know of the second pass"
