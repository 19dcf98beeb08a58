"""QM9's eleven targets and their mean absolute errors."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from experiments.common.metrics import Metric


class Target(NamedTuple):
    """A regression target: its column among the 19 of PyTorch Geometric, and the factor to the reported unit."""

    column: int
    factor: float
    metric: Metric


def _target(column: int, name: str, unit: str, latex: str, digits: int, factor: float = 1.0) -> Target:
    return Target(column, factor, Metric(name, unit, higher_is_better=False, digits=digits, latex=latex))


#: In the paper's order. Energies are reported in meV; U0, U, H, G are atomisation energies.
TARGETS = (
    _target(0, "mu", "D", r"\mu", 3),
    _target(1, "alpha", "a0^3", r"\alpha", 3),
    _target(2, "HOMO", "meV", r"\epsilon_{\text{HOMO}}", 2, 1000.0),
    _target(3, "LUMO", "meV", r"\epsilon_{\text{LUMO}}", 2, 1000.0),
    _target(5, "R2", "a0^2", r"\langle R^2 \rangle", 3),
    _target(6, "ZPVE", "meV", r"\text{ZPVE}", 2, 1000.0),
    _target(12, "U0", "meV", r"U_0", 2, 1000.0),
    _target(13, "U", "meV", r"U", 2, 1000.0),
    _target(14, "H", "meV", r"H", 2, 1000.0),
    _target(15, "G", "meV", r"G", 2, 1000.0),
    _target(11, "cv", "cal/(mol K)", r"c_v", 3),
)
METRICS = tuple(target.metric for target in TARGETS)
COLUMNS = [target.column for target in TARGETS]


def reported_errors(standardised: Tensor, std: Tensor) -> dict[str, float]:
    """Mean absolute errors ``[11]`` of standardised targets in the reported units, by name.

    ``std`` ``[11]``: the standard deviations that the targets were divided by, in PyTorch Geometric's units.
    """
    factor = torch.tensor([target.factor for target in TARGETS], dtype=torch.float64)
    errors = standardised.double().cpu() * std.double().cpu() * factor
    return {metric.name: float(error) for metric, error in zip(METRICS, errors, strict=True)}
