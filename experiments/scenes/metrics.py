"""The metrics of the paper's scene-understanding tables, summed on the device over a whole pass of the data.

``"exact"``: every valid pixel of the set counts the same. ``"paper"``: the released code's protocol, where depth and
normal metrics (the median too) are taken per batch and then averaged over the batches; numbers in the table, and
all that were published for it, are of this kind. mIoU and pixel accuracy come from one confusion matrix in both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from experiments.scenes.frames import Batch
from experiments.scenes.losses import check_number, target, valid_depth, valid_normals
from experiments.scenes.segnet import TASKS

#: Columns of each task, by name and in the tables' order.
TASK_METRICS = {
    "segmentation": ("mIoU", "PixAcc"),
    "depth": ("AbsErr", "RelErr"),
    "normals": ("Mean", "Median", "<11.25", "<22.5", "<30"),
}
PROTOCOLS = ("exact", "paper")

_THRESHOLDS = (11.25, 22.5, 30.0)  # degrees
_ANGLE_BINS = 1 << 20  # of 180/2^20 = 1.7e-4 degrees each, 8 MiB in all


class SceneMetrics:
    """The metrics of one pass over one split. Make a new one for each pass: nothing is ever shared or reset.

    ``n_classes``: of the segmentation. ``protocol``: ``"paper"`` or ``"exact"``, see the module. ``batch_size``: the
    paper protocol's batch, which need not be the network's: an update of several images is split into batches of this
    size. ``tasks``: whose predictions come, in this order; only their metrics are computed.

    All sums are float64 or integers on ``device``; an update never waits for a GPU. Memory does not grow with the
    set. The exact median comes from a histogram of the angles, and is within 2e-4 degrees of the true one.

    Raises ``ValueError`` for an unknown protocol or a batch size below one.
    """

    def __init__(
        self,
        device: torch.device | str,
        *,
        n_classes: int,
        batch_size: int,
        protocol: str = "paper",
        tasks: Sequence[str] = TASKS,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}; choose one of {', '.join(PROTOCOLS)}.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give at least one image.")
        self.protocol, self.batch_size, self.tasks = protocol, batch_size, tuple(tasks)
        self.n_classes = n_classes
        self._ended = False  # a batch of the paper protocol was short, so that it must have been the last
        # The last entry of each counts what is not valid: cheaper than to select what is.
        self.confusion = torch.zeros(n_classes**2 + 1, dtype=torch.int64, device=device)
        self.angle_histogram = torch.zeros(_ANGLE_BINS + 1, dtype=torch.int64, device=device)
        # Sums of the metrics and, last, of their weights: pixels (exact) or batches with a valid pixel (paper).
        self.depth_sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.angle_sums = torch.zeros(6, dtype=torch.float64, device=device)

    @torch.no_grad()
    def update(self, predictions: Sequence[Tensor], batch: Batch) -> None:
        """Add a batch: predictions in the order of ``tasks``, shaped as the network gives them.

        Under the paper protocol only the last update may hold a number of images that ``batch_size`` does not
        divide; raises ``ValueError`` at an update after such a one, and for a wrong number of predictions.
        """
        check_number(predictions, self.tasks)
        n_images = len(batch)
        if self.protocol == "paper":
            if self._ended:
                raise ValueError(
                    f"an update before this one was no multiple of {self.batch_size} images; under the paper "
                    "protocol only the last may be."
                )
            self._ended = n_images % self.batch_size > 0
        size = self.batch_size if self.protocol == "paper" else max(n_images, 1)
        for task, predicted in zip(self.tasks, predictions, strict=True):
            expected = target(batch, task)
            if task == "segmentation":
                self._add_labels(predicted, expected)
                continue
            add = self._add_depth if task == "depth" else self._add_normals
            for some, some_expected in zip(predicted.split(size), expected.split(size), strict=True):
                add(some, some_expected)

    def compute(self) -> dict[str, float]:
        """The tasks' metrics by name: per cent, units of the depth, degrees.

        A class that is in neither prediction nor label has no IoU and is left out of the mean. Under the paper
        protocol a batch without a valid pixel is left out likewise. NaN where the whole set has no valid pixel.
        """
        values = {**self._segmentation(), **self._depth(), **self._normals()}
        return {name: values[name] for task in TASKS if task in self.tasks for name in TASK_METRICS[task]}

    def _add_labels(self, logits: Tensor, labels: Tensor) -> None:
        predicted = logits.max(dim=1).indices  # [B, H, W]; on a CPU several times faster than argmax
        cell = torch.where(labels >= 0, labels.long() * self.n_classes + predicted, self.n_classes**2).flatten()
        self.confusion.scatter_add_(0, cell, _ones(cell))

    def _add_depth(self, predicted: Tensor, depth: Tensor) -> None:
        valid = valid_depth(depth)
        error = torch.where(valid, (predicted - depth).abs(), 0)
        relative = error / torch.where(valid, depth, 1)
        self._add(self.depth_sums, [error.sum(dtype=torch.float64), relative.sum(dtype=torch.float64)], valid.sum())

    def _add_normals(self, predicted: Tensor, normals: Tensor) -> None:
        valid = valid_normals(normals).flatten()
        angle = angles(predicted, normals).flatten()  # [b·H·W], degrees
        count = valid.sum()
        shares = [(valid & (angle < threshold)).sum() for threshold in _THRESHOLDS]
        if self.protocol == "exact":
            median = count.new_zeros(())
            cell = (angle * (_ANGLE_BINS / 180)).long().clamp(0, _ANGLE_BINS - 1)  # clamped, as NaN is any integer
            cell = torch.where(valid, cell, _ANGLE_BINS)
            self.angle_histogram.scatter_add_(0, cell, _ones(cell))
        else:
            median = masked_median(angle, valid) * count
        total = torch.where(valid, angle, 0).sum(dtype=torch.float64)
        self._add(self.angle_sums, [total, median, *shares], count)

    def _add(self, sums: Tensor, terms: Sequence[Tensor], count: Tensor) -> None:
        """Add sums over ``count`` pixels; under the paper protocol their means, with weight one."""
        update = torch.stack([*terms, count]).to(sums)
        if self.protocol == "paper":
            update /= count.clamp(min=1)  # zero pixels make zeros of all, the weight too
        sums += update

    def _segmentation(self) -> dict[str, float]:
        matrix = self.confusion[:-1].view(self.n_classes, self.n_classes).double()  # [label, prediction]
        hits = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - hits
        iou = (hits / union).nanmean()
        return {"mIoU": 100 * float(iou), "PixAcc": 100 * float(hits.sum() / matrix.sum())}

    def _depth(self) -> dict[str, float]:
        *sums, weight = self.depth_sums
        return {name: float(total / weight) for name, total in zip(TASK_METRICS["depth"], sums, strict=True)}

    def _normals(self) -> dict[str, float]:
        mean, median, *shares = (self.angle_sums[:-1] / self.angle_sums[-1]).tolist()
        if self.protocol == "exact":
            median = histogram_median(self.angle_histogram[:-1], 180 / _ANGLE_BINS)
        return dict(zip(TASK_METRICS["normals"], [mean, median, *(100 * s for s in shares)], strict=True))


def angles(predicted: Tensor, normals: Tensor) -> Tensor:
    """The angle between vectors ``[B, 3, H, W]``, in degrees ``[B, H, W]``, whatever their lengths.

    atan2(|p × n|, ⟨p, n⟩): the same as the released code's arc cosine for vectors of length one, but without its loss
    of digits at small angles. Zero where a vector is zero.
    """
    a, b, c = predicted.unbind(dim=1)
    d, e, f = normals.unbind(dim=1)
    sine = ((b * f - c * e).square() + (c * d - a * f).square() + (a * e - b * d).square()).sqrt()
    return torch.atan2(sine, a * d + b * e + c * f).rad2deg()


def masked_median(values: Tensor, valid: Tensor) -> Tensor:
    """The median of ``values[valid]``, the mean of the middle two where their number is even; zero if there is none.

    Both ``[n]``. On a GPU by :func:`median_by_sorting`; on a CPU, where waiting costs nothing, two selections are
    nearly ten times as fast.
    """
    if values.is_cuda:
        return median_by_sorting(values, valid)
    chosen = values[valid]
    if not len(chosen):
        return values.new_zeros(())
    ranks = (len(chosen) - 1) // 2 + 1, len(chosen) // 2 + 1  # kthvalue counts from one
    return torch.stack([chosen.kthvalue(rank).values for rank in ranks]).mean()


def median_by_sorting(values: Tensor, valid: Tensor) -> Tensor:
    """:func:`masked_median` without waiting for the number of valid ones: all are sorted, those last."""
    count = valid.sum()
    ordered = torch.where(valid, values, torch.inf).sort().values
    middle = torch.stack([(count - 1) // 2, count // 2]).clamp(min=0)
    return torch.where(count > 0, ordered[middle].mean(), 0)


def histogram_median(counts: Tensor, width: float) -> float:
    """The median of values binned from zero in bins of one ``width``, to within a bin; NaN for an empty histogram.

    Within its bin a value is taken to lie where it would if they were spread evenly.
    """
    running = counts.cumsum(0)
    total = int(running[-1])
    if total == 0:
        return float("nan")
    middle = torch.tensor([(total - 1) // 2, total // 2], device=counts.device)
    cell = torch.searchsorted(running, middle, right=True)
    before = running[cell] - counts[cell]
    return float(((cell + (middle - before + 0.5) / counts[cell]) * width).double().mean())


def _ones(cells: Tensor) -> Tensor:
    return cells.new_ones(()).expand_as(cells)
