"""Running a function of tensors again and again from static memory: CUDA graphs, and the same on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

_WARM_UPS = 3  # eager calls before a capture: libraries set themselves up, optimisers make their state


class Captured:
    """A function whose tensor arguments live in static memory, replayed as one CUDA graph where there is a GPU.

    The function must do the same work at every call: shapes, and which tensors outside its arguments it reads and
    writes, may not change, and it may not wait for the device. Its first calls run as they are and count; then it is
    captured. Its result is overwritten by the next call. On a CPU it always runs as it is, but from the same static
    arguments into the same static results, so that what depends on them can be tested without a GPU.

    ``pool``: graphs that follow one another may share memory (``torch.cuda.graph_pool_handle()``); ``None``: its own.
    """

    def __init__(self, function: Callable[..., Any], pool: Any = None) -> None:
        self.function, self.pool = function, pool
        self.reset()

    def reset(self) -> None:
        """Forget the graph: needed where a tensor that the function reads or writes has been replaced by another."""
        self.calls = 0
        self._arguments: tuple[Tensor | None, ...] | None = None
        self._result: Any = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, *arguments: Tensor | None) -> Any:
        self._take(arguments)
        assert self._arguments is not None
        self.calls += 1
        device = next((a.device for a in self._arguments if a is not None), torch.device("cpu"))
        if device.type != "cuda":
            return self._keep(self.function(*self._arguments))
        if self._graph is None and self.calls <= _WARM_UPS:
            side = torch.cuda.Stream(device)
            side.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(side):
                result = self.function(*self._arguments)
            torch.cuda.current_stream(device).wait_stream(side)
            return result
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, pool=self.pool):
                self._result = self.function(*self._arguments)
        self._graph.replay()
        return self._result

    def _take(self, arguments: tuple[Tensor | None, ...]) -> None:
        if self._arguments is None:
            self._arguments = tuple(None if a is None else a.detach().clone() for a in arguments)
            return
        for static, given in zip(self._arguments, arguments, strict=True):
            if (static is None) != (given is None) or (static is not None and static.shape != given.shape):  # type: ignore[union-attr]
                raise ValueError("a captured function was called with other shapes than at first.")
            if static is not None and given is not None:
                static.copy_(given)

    def _keep(self, result: Any) -> Any:
        if self._result is None:
            self._result = result
            return result
        for static, new in zip(pytree.tree_leaves(self._result), pytree.tree_leaves(result), strict=True):
            if isinstance(static, Tensor):
                static.detach().copy_(new)
        return self._result
