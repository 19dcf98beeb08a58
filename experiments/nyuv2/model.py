"""The networks of the NYUv2 table by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from experiments.nyuv2.mtan import MTAN
from experiments.nyuv2.segnet import TASKS, SegNet

NETWORKS = ("segnet", "mtan")


def make_network(
    network: str, *, tasks: Sequence[str] = TASKS, width: float = 1.0, attention: str = "shared"
) -> SegNet | MTAN:
    """``"segnet"`` or ``"mtan"``, with random weights from torch's generator.

    ``tasks``: one name for single-task learning. ``width``: a factor on all filters. ``attention``: where MTAN's
    masks count, see :class:`MTAN`; of no effect for SegNet.

    Raises ``ValueError`` for an unknown name, task or attention.
    """
    if network == "segnet":
        return SegNet(tasks, width)
    if network == "mtan":
        return MTAN(tasks, width, attention)
    raise ValueError(f"network is {network!r}; choose one of {', '.join(NETWORKS)}.")


def parameter_count(parameters: Iterable[Tensor]) -> int:
    return sum(parameter.numel() for parameter in parameters)
