"""The four columns of the paper's Cityscapes table; :mod:`experiments.scenes.metrics` says how they are measured."""

from __future__ import annotations

from experiments.common.metrics import Metric

METRICS = (
    Metric("mIoU", "%", higher_is_better=True, digits=2, latex=r"\text{mIoU}"),
    Metric("PixAcc", "%", higher_is_better=True, digits=2, latex=r"\text{Pix Acc}"),
    Metric("AbsErr", "", higher_is_better=False, digits=4, latex=r"\text{Abs Err}"),
    Metric("RelErr", "", higher_is_better=False, digits=2, latex=r"\text{Rel Err}"),
)
