"""The losses of the scene tasks, Liu et al., CVPR 2019, and Navon et al., ICML 2022: means over valid pixels.

Shapes: B images of H x W pixels. A batch without a single valid pixel has loss zero, with a graph whose gradients are
zero (the released code gives NaN). No loss waits for a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.scenes.frames import IGNORED, Batch
from experiments.scenes.segnet import TASKS


def task_losses(predictions: Sequence[Tensor], batch: Batch, tasks: Sequence[str] = TASKS) -> list[Tensor]:
    """One scalar a task, in the order of ``tasks``, which names the predictions.

    A list, as the losses' own graphs stay apart: the backward pass of one element of ``torch.stack(losses)`` walks
    the branches of all tasks, with zeros. Raises ``ValueError`` if there are not as many predictions as tasks.
    """
    check_number(predictions, tasks)
    return [LOSSES[task](p, target(batch, task)) for task, p in zip(tasks, predictions, strict=True)]


def valid_pixels(batch: Batch, tasks: Sequence[str] = TASKS) -> Tensor:
    """How many pixels each task's loss is a mean of: ``[K]``, float32."""
    masks = {
        "segmentation": lambda labels: labels.ne(IGNORED),
        "depth": valid_depth,
        "normals": valid_normals,
    }
    return torch.stack([masks[task](target(batch, task)).sum() for task in tasks]).float()


def target(batch: Batch, task: str) -> Tensor:
    """What a task's predictions are held against: labels, depth or normals, shaped as in :class:`Batch`."""
    found = {"segmentation": batch.label, "depth": batch.depth, "normals": batch.normal}[task]
    assert found is not None, f"these frames have no {task}"
    return found


def check_number(predictions: Sequence[Tensor], tasks: Sequence[str]) -> None:
    if len(predictions) != len(tasks):
        raise ValueError(
            f"got {len(predictions)} predictions for the tasks {', '.join(tasks)}; expected one for each, in order."
        )


def segmentation_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy: −1/n Σ log softmax(logits)[label] over the n pixels with a label >= 0.

    ``logits``: ``[B, classes, H, W]``, or log-probabilities, which log-softmax leaves as they are; ``labels``:
    ``[B, H, W]``.
    """
    total = F.cross_entropy(logits, labels.long(), ignore_index=IGNORED, reduction="sum")
    return total / labels.ne(IGNORED).sum().clamp(min=1)


def depth_loss(predicted: Tensor, depth: Tensor) -> Tensor:
    """L1: 1/n Σ |p − d| over the n pixels with a known depth (or inverse depth) d > 0; both ``[B, 1, H, W]``."""
    valid = valid_depth(depth)
    return torch.where(valid, (predicted - depth).abs(), 0).sum() / valid.sum().clamp(min=1)


def normal_loss(predicted: Tensor, normals: Tensor) -> Tensor:
    """1/n Σ (1 − ⟨p, n⟩) over the n pixels with a known normal; both ``[B, 3, H, W]``, of length one: 1 − cosine."""
    valid = valid_normals(normals)
    cosine = (predicted * normals).sum(dim=1, keepdim=True)
    return torch.where(valid, 1 - cosine, 0).sum() / valid.sum().clamp(min=1)


def valid_depth(depth: Tensor) -> Tensor:
    """Where the depth is known, ``[B, 1, H, W]``: d > 0 (the released code: d ≠ 0)."""
    return depth > 0


def valid_normals(normals: Tensor) -> Tensor:
    """Where the normal is known, ``[B, 1, H, W]``: it is not (0, 0, 0).

    The released code masks where the three components add up to zero, which loses some true normals as well.
    """
    return normals.abs().sum(dim=1, keepdim=True) > 0


LOSSES = {"segmentation": segmentation_loss, "depth": depth_loss, "normals": normal_loss}
