"""The networks of the scene-understanding tables by name."""

from __future__ import annotations

from collections.abc import Mapping

from experiments.scenes.mtan import MTAN
from experiments.scenes.segnet import SegNet

NETWORKS = ("segnet", "mtan")


def make_network(
    network: str, channels: Mapping[str, int], *, width: float = 1.0, attention: str = "shared"
) -> SegNet | MTAN:
    """``"segnet"`` or ``"mtan"``, with random weights from torch's generator.

    ``channels``: outputs of each task, a single one for single-task learning. ``width``: a factor on all filters.
    ``attention``: where MTAN's masks count, see :class:`MTAN`; of no effect for SegNet.

    Raises ``ValueError`` for an unknown name, task or attention.
    """
    if network == "segnet":
        return SegNet(channels, width)
    if network == "mtan":
        return MTAN(channels, width, attention)
    raise ValueError(f"network is {network!r}; choose one of {', '.join(NETWORKS)}.")
