"""Two ranks with half a batch each write what one process with the whole batch writes, whatever the method."""

from __future__ import annotations

import copy
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from methods import METHODS, Method, NonFiniteGradient, NonFiniteLoss, get_method

RANKS, TASKS, BATCH, STEPS = 2, 3, 7, 6
OPTIONS: dict[str, dict[str, Any]] = {"stl": {"main_task": 1}, "dwa": {"window": 2}}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{key: (key, OPTIONS.get(key, {})) for key in METHODS},
    "ls weighted": ("ls", {"task_weights": [0.2, 3.0, 0.0]}),
    "nash every third step": ("nash_mtl", {"update_weights_every": 3}),
    "nash every third step, plain heads": ("nash_mtl", {"update_weights_every": 3, "weight_heads": False}),
    "nash unclipped": ("nash_mtl", {"max_norm": 0.0}),
    "imtl_g shared": ("imtl_g", {"gradients": "shared"}),
    "nash on features": ("nash_mtl", {"gradients": "representation", "update_weights_every": 2}),
    "mgda on features, plain heads": ("mgda", {"gradients": "representation", "weight_heads": False}),
    "graddrop leaking": ("graddrop", {"leak": [0.1, 0.5, 0.0]}),
    "mgda vectorised": ("mgda", {"task_gradients": "batched", "max_norm": 0.3}),
}


class Network(nn.Module):
    """A trunk, a branch that the last task does not reach, a parameter that nothing reaches, and K heads."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.trunk, self.branch = nn.Linear(6, 8, dtype=dtype), nn.Linear(6, 4, dtype=dtype)
        self.unused = nn.Parameter(torch.ones(2, dtype=dtype))
        self.heads = nn.ModuleList(nn.Linear(8 + 4 * (k < TASKS - 1), 1, dtype=dtype) for k in range(TASKS))

    def shared_parameters(self) -> list[nn.Parameter]:
        return [*self.trunk.parameters(), *self.branch.parameters(), self.unused]

    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Mean squared errors of targets ``[B, K]``, offset from zero, and the two representations."""
        trunk, branch = self.trunk(inputs).tanh(), self.branch(inputs).tanh()
        both = torch.cat([trunk, branch], dim=1)
        errors = [head(both if k < TASKS - 1 else trunk)[:, 0] - targets[:, k] for k, head in enumerate(self.heads)]
        return [error.square().mean() + 0.1 for error in errors], [trunk, branch]


def train(variant: str, dtype: torch.dtype, rank: int | None = None) -> dict[str, Tensor]:
    """Parameters and weights after a few steps; rank ``None`` is one process with the whole batch."""
    key, options = VARIANTS[variant]
    network, method = Network(dtype), get_method(key, TASKS, **options)
    if rank is not None:
        method.distribute()
    optimizer = torch.optim.SGD([*network.parameters(), *method.parameters()], lr=0.1)
    draws = torch.Generator().manual_seed(5)
    weights = []
    for _ in range(STEPS):
        inputs = torch.randn(BATCH, 6, generator=draws, dtype=torch.float64).to(dtype)
        targets = torch.randn(BATCH, TASKS, generator=draws, dtype=torch.float64).to(dtype)
        share = slice(rank, None, RANKS) if rank is not None else slice(None)
        part = len(inputs[share]) * (1 if rank is None else RANKS) / BATCH
        losses, representation = network.losses(inputs[share], targets[share])
        losses = [part * loss for loss in losses]
        step = method.backward(losses, shared_parameters=network.shared_parameters(), representation=representation)
        optimizer.step()
        if method.needs_losses_after:
            with torch.no_grad():
                after, _ = network.losses(inputs[share], targets[share])
            method.update([part * loss for loss in after])
        weights.append(torch.zeros(TASKS) if step.weights is None else step.weights)
    gradient = {f"gradient of {name}": p.grad for name, p in network.named_parameters() if p.grad is not None}
    own = {f"own {i}": p.detach() for i, p in enumerate(method.parameters())}
    return {**network.state_dict(), **gradient, **own, "weights": torch.stack(weights).double()}


def failures(rank: int) -> dict[str, str]:
    """What each rank raises where only the second has a loss, or a gradient, that is not finite."""
    raised = {}
    for name, error in (("loss", NonFiniteLoss), ("gradient", NonFiniteGradient)):
        for key in ("ls", "nash_mtl", "imtl_g"):
            point = torch.tensor([1.0, 2.0], requires_grad=True)
            features = point * 1.0
            losses = [features[0] * 1.0, features[1] * 2.0, features.sum()]
            if rank == 1:
                losses[1] = losses[1] * torch.inf if name == "loss" else (losses[1] - 4.0).abs().sqrt() + 1.0
            method: Method = get_method(key, TASKS).distribute()
            try:
                method.backward(losses, shared_parameters=[point], representation=features)
            except error as caught:
                raised[f"{name} {key}"] = type(caught).__name__
            assert point.grad is None
    return raised


def run_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    found = {f"{v} {dtype}": train(v, dtype, rank) for v in VARIANTS for dtype in (torch.float64, torch.float32)}
    torch.save({"found": found, "failures": failures(rank)}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of the two ranks has found."""
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=run_rank, args=(rank, folder)) for rank in range(RANKS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * RANKS
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(RANKS)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("variant", VARIANTS)
def test_ranks_train_as_one_process_does(ranks: list[dict[str, Any]], variant: str, dtype: torch.dtype) -> None:
    expected = train(variant, dtype)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    first, second = (found["found"][f"{variant} {dtype}"] for found in ranks)
    assert first.keys() == second.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(first[name], second[name]), f"the ranks differ in {name}"
        torch.testing.assert_close(
            first[name], value, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_the_copies_of_a_method_share_its_process_group(monkeypatch: pytest.MonkeyPatch) -> None:
    group: Any = (number for number in ())  # as a process group, nothing that can be copied
    monkeypatch.setattr(dist, "get_world_size", lambda _: 2)
    copied = copy.deepcopy(get_method("nash_mtl", 2).distribute(group))
    assert copied.ranks is not None and copied.ranks.group is group and copied.ranks.size == 2


def test_every_rank_fails_where_one_does(ranks: list[dict[str, Any]]) -> None:
    cases = {f"{name} {key}" for name in ("loss", "gradient") for key in ("ls", "nash_mtl", "imtl_g")}
    for found in ranks:
        assert found["failures"].keys() == cases
