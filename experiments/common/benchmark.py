"""What the report and the trainers need to know of a benchmark: its metrics, in the order of the paper's table."""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One column of a results table."""

    name: str
    unit: str
    higher_is_better: bool
    digits: int  # after the decimal point, as the paper prints it
    latex: str
