"""The three losses: values by hand, gradients, masks."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.frames import Batch
from experiments.scenes.losses import (
    LOSSES,
    depth_loss,
    normal_loss,
    segmentation_loss,
    target,
    task_losses,
    valid_depth,
    valid_normals,
)
from experiments.scenes.segnet import TASKS

SHAPE = (2, 4, 5)  # images, height, width


def random_predictions(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = {}
    for task, channels in NYUV2.channels.items():
        x = torch.randn(2, channels, *SHAPE[1:], generator=generator, dtype=torch.float64)
        made[task] = (F.normalize(x, dim=1) if task == "normals" else x).requires_grad_()
    return made


def random_batch(seed: int = 1, unknown: float = 0.3) -> Batch:
    """Each task has unknown pixels of its own."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 13, SHAPE, generator=generator)
    labels[torch.rand(SHAPE, generator=generator) < unknown] = -1
    depth = torch.rand(2, 1, *SHAPE[1:], generator=generator, dtype=torch.float64) + 0.5
    depth[torch.rand(depth.shape, generator=generator) < unknown] = 0
    normals = F.normalize(torch.randn(2, 3, *SHAPE[1:], generator=generator, dtype=torch.float64), dim=1)
    normals = normals * (torch.rand(2, 1, *SHAPE[1:], generator=generator) >= unknown)
    return Batch(torch.zeros_like(normals), labels, depth, normals)


def pixelwise(task: str, predicted: Tensor, expected: Tensor) -> float:
    """The mean over valid pixels, one pixel after another."""
    terms = []
    for b in range(SHAPE[0]):
        for i in range(SHAPE[1]):
            for j in range(SHAPE[2]):
                p = predicted[b, :, i, j].tolist()
                if task == "segmentation":
                    label = int(expected[b, i, j])
                    if label >= 0:
                        terms.append(math.log(sum(math.exp(x) for x in p)) - p[label])
                    continue
                t = expected[b, :, i, j].tolist()
                if any(t):
                    dot = sum(x * y for x, y in zip(p, t, strict=True))
                    terms.append(abs(p[0] - t[0]) if task == "depth" else 1 - dot)
    return sum(terms) / len(terms)


@pytest.mark.parametrize("task", TASKS)
def test_loss_is_the_mean_over_valid_pixels(task: str) -> None:
    predicted, expected = random_predictions()[task], target(random_batch(), task)
    assert float(LOSSES[task](predicted, expected).detach()) == pytest.approx(pixelwise(task, predicted, expected))


def test_segmentation_by_hand() -> None:
    logits = torch.zeros(1, 13, 1, 3)
    logits[0, 4, 0, 1] = math.log(24.0)  # probability 24/36
    labels = torch.tensor([[[7, 4, -1]]])
    expected = (math.log(13) + math.log(1.5)) / 2
    assert float(segmentation_loss(logits, labels)) == pytest.approx(expected)
    assert float(segmentation_loss(logits.log_softmax(1), labels)) == pytest.approx(expected)
    assert float(segmentation_loss(logits, labels.to(torch.int8))) == pytest.approx(expected)


def test_depth_by_hand() -> None:
    depth = torch.tensor([2.0, 0.0, 4.0]).view(1, 1, 1, 3)
    predicted = torch.tensor([1.5, 9.0, 5.5]).view(1, 1, 1, 3).requires_grad_()
    loss = depth_loss(predicted, depth)
    loss.backward()
    assert float(loss.detach()) == 1.0
    assert predicted.grad.flatten().tolist() == [-0.5, 0.0, 0.5]


def test_normals_by_hand() -> None:
    normals = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.6, 0.0, 0.8]]).T.view(1, 3, 1, 3)
    predicted = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.6, 0.0, 0.8]]).T.reshape(1, 3, 1, 3)
    predicted.requires_grad_()
    loss = normal_loss(predicted, normals)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.0)  # 2 for the opposite one, 0 for the last
    torch.testing.assert_close(predicted.grad, -normals / 2)


@pytest.mark.parametrize("task", TASKS)
def test_gradients_against_differences(task: str) -> None:
    expected = target(random_batch(), task)
    assert torch.autograd.gradcheck(lambda x: LOSSES[task](x, expected), random_predictions()[task])


@pytest.mark.parametrize("task", TASKS)
def test_unknown_pixels_have_no_gradient(task: str) -> None:
    predicted, expected = random_predictions()[task], target(random_batch(), task)
    LOSSES[task](predicted, expected).backward()
    known = {
        "segmentation": lambda t: t.unsqueeze(1) >= 0,
        "depth": valid_depth,
        "normals": valid_normals,
    }[task](expected).expand_as(predicted)
    assert not predicted.grad[~known].any()
    assert predicted.grad[known].any()


@pytest.mark.parametrize("task", TASKS)
def test_nothing_valid_is_zero_with_a_graph(task: str) -> None:
    predicted, expected = random_predictions()[task], target(random_batch(unknown=1.1), task)
    loss = LOSSES[task](predicted, expected)
    assert float(loss.detach()) == 0.0 and loss.requires_grad
    loss.backward()
    assert torch.equal(predicted.grad, torch.zeros_like(predicted))


def test_a_normal_whose_components_add_up_to_zero_is_valid() -> None:
    normal = torch.tensor([0.5, -0.5, 0.0]).view(1, 3, 1, 1) * math.sqrt(2)
    assert valid_normals(normal).all()
    assert not valid_normals(torch.zeros(1, 3, 1, 1)).any()


def test_negative_depth_is_unknown() -> None:
    assert valid_depth(torch.tensor([-1.0, 0.0, 0.5])).tolist() == [False, False, True]


def test_task_losses_are_separate_scalars_in_order() -> None:
    predictions, batch = random_predictions(), random_batch()
    losses = task_losses(list(predictions.values()), batch)
    assert isinstance(losses, list) and all(loss.shape == () for loss in losses)
    assert [float(x.detach()) for x in losses] == [
        float(LOSSES[task](predictions[task], target(batch, task)).detach()) for task in TASKS
    ]
    for k, loss in enumerate(losses):
        found = torch.autograd.grad(loss, list(predictions.values()), allow_unused=True)
        assert [gradient is not None for gradient in found] == [j == k for j in range(3)]


def test_some_tasks_only() -> None:
    predictions, batch = random_predictions(), random_batch()
    [loss] = task_losses([predictions["normals"]], batch, ["normals"])
    assert torch.equal(loss, normal_loss(predictions["normals"], batch.normal))
    with pytest.raises(ValueError, match="got 1 predictions for the tasks segmentation, depth, normals"):
        task_losses([predictions["normals"]], batch)


def test_half_precision_predictions() -> None:
    predictions, batch = random_predictions(), random_batch()
    batch = Batch(batch.image, batch.label, batch.depth.float(), batch.normal.float())
    half = [p.detach().bfloat16() for p in predictions.values()]
    for task, loss, full in zip(
        TASKS, task_losses(half, batch), task_losses(list(predictions.values()), batch), strict=True
    ):
        assert float(loss) == pytest.approx(float(full.detach()), rel=0.02), task
