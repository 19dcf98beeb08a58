"""Batch normalisation over two processes: values, gradients and running statistics of one with the whole batch."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from experiments.common import parallel
from experiments.common.batch_norm import set_present, share_batch_norm

BATCH = 3


def step(rank: int | None, size: int) -> dict[str, Tensor]:
    """Gradients and buffers after one step on a batch of ``size``, in float64; rank ``None`` has all of it."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1), nn.BatchNorm2d(1))
    network = network.double()
    images, targets = torch.randn(size, 2, 5, 6, dtype=torch.float64), torch.randn(size, 1, 3, 4, dtype=torch.float64)
    part, factor = (slice(None), 1.0) if rank is None else parallel.share(size)
    if rank is not None:
        share_batch_norm(network)
        set_present(network, factor > 0)
    loss = factor * (network(images[part]) - targets[part]).square().mean()
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    found = {name: parallel.total(gradient) / parallel.size() for name, gradient in gradients.items()}
    return {**found, **dict(network.named_buffers())}


def run_rank(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    torch.save([step(rank, size) for size in range(1, BATCH + 1)], folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[list[dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("ranks")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=run_rank, args=(rank, folder)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("size", range(1, BATCH + 1))
def test_parts_are_normalised_as_a_whole(ranks: list[list[dict[str, Tensor]]], size: int) -> None:
    expected = step(None, size)
    for found in ranks:
        for name, value in expected.items():
            torch.testing.assert_close(found[size - 1][name], value, rtol=1e-9, atol=1e-9, msg=f"{name} of {size}")
