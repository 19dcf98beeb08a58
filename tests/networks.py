"""What tests ask of networks."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def parameter_count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
