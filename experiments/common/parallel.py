"""One run over several devices: the processes that torchrun starts, as training loop and benchmarks see them.

Every process goes through the same code with the same random draws and takes its :func:`share` of each batch; only
the first one writes. Without torchrun there is one process and nothing here does anything.
"""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")


def start() -> None:
    """Join the other processes if torchrun started this one (its environment variables say so)."""
    if dist.is_initialized() or not {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys():
        return
    # Tensors on the CPU go through gloo also where the training itself is on GPUs.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    atexit.register(dist.destroy_process_group)


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes records, checkpoints and logs."""
    return rank() == 0


def own_device(name: str) -> str:
    """This process's own GPU, where several processes would otherwise share the first."""
    gpus = name == "cuda" or (name == "auto" and torch.cuda.is_available())
    return f"cuda:{os.environ.get('LOCAL_RANK', rank())}" if size() > 1 and gpus else name


def share(total: int) -> tuple[slice, float]:
    """This process's part of a batch of ``total`` samples, and the factor of the mean loss over that part.

    The mean over the processes of the factor times the part's mean is the mean over the batch, also where the
    parts differ in size. Where there are fewer samples than processes, the last take a sample with factor 0.
    """
    if size() == 1:
        return slice(None), 1.0
    part = slice(rank(), None, size())
    number = len(range(total)[part])
    return (part, size() * number / total) if number else (slice(0, 1), 0.0)


def factors(counts: Tensor) -> Tensor:
    """Of means over ``counts`` ``[K]`` things each (valid pixels, say) in this process's part of the batch.

    The mean over the processes of factor times mean is the mean over the batch's things.
    """
    return size() * counts / total(counts).clamp(min=1) if size() > 1 else torch.ones_like(counts)


def total(tensor: Tensor) -> Tensor:
    """The sum over the processes, on all of them."""
    if size() > 1:
        dist.all_reduce(tensor := tensor.clone(memory_format=torch.contiguous_format))
    return tensor


def signals(received: Sequence[int]) -> list[int]:
    """The signals on which all processes leave: this one's own or, where another has received one, SIGTERM."""
    if size() == 1:
        return list(received)
    return [signal.SIGTERM] if total(torch.tensor(float(bool(received)))) else []


def of_first(values: Sequence[float]) -> list[float]:
    """The first process's numbers, on all processes."""
    if size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64)
    dist.broadcast(tensor, src=0)
    return tensor.tolist()


def decided_by_first(decide: Callable[[], bool]) -> bool:
    """What ``decide()`` says on the first process, on all; where it raises, the other processes end with status 1."""
    if size() == 1:
        return decide()
    verdict, error = -1.0, None
    if is_first():
        try:
            verdict = float(decide())
        except BaseException as caught:
            error = caught
    (verdict,) = of_first([verdict])
    if error is not None:
        raise error
    if verdict < 0:
        raise SystemExit(1)
    return bool(verdict)


def same_everywhere(network: nn.Module) -> None:
    """Give all processes the first one's parameters and buffers."""
    if size() > 1:
        for tensor in network.state_dict().values():
            dist.broadcast(whole := tensor.contiguous(), src=0)
            tensor.copy_(whole)


def wait_for_all() -> None:
    if size() > 1:
        dist.barrier()


@contextmanager
def first_goes_ahead() -> Iterator[None]:
    """The first process carries out the block (it may build a cache), then the others do."""
    if not is_first():
        wait_for_all()
    yield
    if is_first():
        wait_for_all()
