"""The nine columns of the paper's NYUv2 table; see :mod:`experiments.scenes.metrics` for how they are measured."""

from __future__ import annotations

from experiments.common.metrics import Metric

METRICS = (
    Metric("mIoU", "%", higher_is_better=True, digits=2, latex=r"\text{mIoU}"),
    Metric("PixAcc", "%", higher_is_better=True, digits=2, latex=r"\text{Pix Acc}"),
    Metric("AbsErr", "m", higher_is_better=False, digits=4, latex=r"\text{Abs Err}"),
    Metric("RelErr", "", higher_is_better=False, digits=4, latex=r"\text{Rel Err}"),
    Metric("Mean", "°", higher_is_better=False, digits=2, latex=r"\text{Mean}"),
    Metric("Median", "°", higher_is_better=False, digits=2, latex=r"\text{Median}"),
    Metric("<11.25", "%", higher_is_better=True, digits=2, latex=r"{<}11.25"),
    Metric("<22.5", "%", higher_is_better=True, digits=2, latex=r"{<}22.5"),
    Metric("<30", "%", higher_is_better=True, digits=2, latex=r"{<}30"),
)
