"""The nine metrics against numpy, pixel lists and all; protocols, empty classes, nothing valid."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.published import load_published
from experiments.nyuv2.metrics import METRICS
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.frames import Batch
from experiments.scenes.metrics import (
    TASK_METRICS,
    SceneMetrics,
    angles,
    histogram_median,
    masked_median,
    median_by_sorting,
)
from experiments.scenes.scene_set import SceneSet
from experiments.scenes.segnet import TASKS

NAMES = [metric.name for metric in METRICS]
SIZE = (12, 16)
Images = tuple[list[Tensor], Batch]  # predictions, and what they are held against


def scenes(number: int, seed: int = 0, classes: Sequence[int] = range(13), unknown: float = 0.2) -> Images:
    """Predictions that are related to the targets; some pixels unknown; only some classes."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.tensor(list(classes))[torch.randint(len(classes), (number, *SIZE), generator=g)]
    logits = 1.5 * F.one_hot(labels, 13).movedim(-1, 1) + torch.randn(number, 13, *SIZE, generator=g)
    logits[:, [c for c in range(13) if c not in classes]] -= 100
    labels[torch.rand(labels.shape, generator=g) < unknown] = -1
    depth = 0.7 + 9 * torch.rand(number, 1, *SIZE, generator=g)
    predicted = depth + 0.5 * torch.randn(depth.shape, generator=g)
    depth = depth * (torch.rand(depth.shape, generator=g) >= unknown)
    normals = F.normalize(torch.randn(number, 3, *SIZE, generator=g), dim=1)
    directions = F.normalize(normals + 0.4 * torch.randn(normals.shape, generator=g), dim=1)
    # The share of unknown normals differs between images, so that means of batches differ from the mean.
    share = unknown * torch.linspace(0.2, 2, number).view(-1, 1, 1, 1)
    normals = normals * (torch.rand(number, 1, *SIZE, generator=g) >= share)
    return [logits, predicted, directions], Batch(torch.zeros_like(normals), labels, depth, normals)


def in_numpy(predictions: Sequence[Tensor], batch: Batch) -> dict[str, float]:
    """An independent implementation over lists of pixels, in float64."""
    logits, predicted, directions = (p.double().numpy() for p in predictions)
    labels, depth, normals = (t.double().numpy() for t in (batch.label, batch.depth, batch.normal))
    guess, known = logits.argmax(1), labels >= 0
    ious = []
    for c in range(13):
        either = ((guess == c) | (labels == c)) & known
        if either.any():
            ious.append(((guess == c) & (labels == c)).sum() / either.sum())
    accuracy = (guess == labels)[known].mean()
    error, true = np.abs(predicted - depth)[depth > 0], depth[depth > 0]
    seen = (normals != 0).any(1)
    p, n = np.moveaxis(directions, 1, -1)[seen], np.moveaxis(normals, 1, -1)[seen]
    cosine = (p * n).sum(-1) / np.linalg.norm(p, axis=-1) / np.linalg.norm(n, axis=-1)
    angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
    shares = [100 * (angle < t).mean() for t in (11.25, 22.5, 30)]
    values = [
        100 * np.mean(ious),
        100 * accuracy,
        error.mean(),
        (error / true).mean(),
        angle.mean(),
        np.median(angle),
    ]
    return dict(zip(NAMES, [float(v) for v in [*values, *shares]], strict=True))


def part(images: Images, chosen: slice) -> Images:
    predictions, batch = images
    fields = (batch.image, batch.label, batch.depth, batch.normal)
    return [p[chosen] for p in predictions], Batch(*(field[chosen] for field in fields))


def metrics_of(**options: object) -> SceneMetrics:
    return SceneMetrics("cpu", **{"n_classes": 13, "batch_size": 2, **options})


def measured(images: Images, protocol: str, update: int, **options: object) -> dict[str, float]:
    metrics = metrics_of(protocol=protocol, **options)
    for start in range(0, len(images[1]), update):
        metrics.update(*part(images, slice(start, start + update)))
    return metrics.compute()


def without_targets(batch: Batch) -> Batch:
    """The same images with nothing known of them."""
    return Batch(batch.image, torch.full_like(batch.label, -1), batch.depth * 0, batch.normal * 0)


def per_batch(images: Images, size: int = 2) -> dict[str, float]:
    """Depth and normals averaged over batches, segmentation over all."""
    number = len(images[1])
    rows = [in_numpy(*part(images, slice(i, i + size))) for i in range(0, number, size)]
    return {
        name: value if name in TASK_METRICS["segmentation"] else float(np.mean([row[name] for row in rows]))
        for name, value in in_numpy(*images).items()
    }


def assert_same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert list(found) == NAMES
    for name, value in expected.items():
        # the median of the exact protocol is good to a bin of its histogram
        assert found[name] == pytest.approx(value, rel=1e-5, abs=2e-4 if name == "Median" else 1e-7), name


@pytest.mark.parametrize("about", [NYUV2, CITYSCAPES], ids=lambda about: about.name)
def test_columns_are_those_of_the_published_table(about: SceneSet) -> None:
    published = load_published(about.name)
    assert published.metrics == tuple(metric.name for metric in about.metrics)
    assert published.higher_is_better == tuple(metric.higher_is_better for metric in about.metrics)
    assert [name for task in about.tasks for name in TASK_METRICS[task]] == list(published.metrics)


@pytest.mark.parametrize("update", [1, 2, 3, 7])
def test_exact_equals_numpy_over_all_pixels(update: int) -> None:
    images = scenes(7)
    assert_same(measured(images, "exact", update), in_numpy(*images))


@pytest.mark.parametrize("update", [2, 4, 8])
@pytest.mark.parametrize("number", [7, 8])
def test_paper_equals_numpy_per_batch_of_two(update: int, number: int) -> None:
    images = scenes(number)
    assert_same(measured(images, "paper", update), per_batch(images))


def test_paper_with_another_batch_size() -> None:
    images = scenes(6)
    assert_same(measured(images, "paper", 3, batch_size=3), per_batch(images, 3))


def test_protocols_differ_where_they_should() -> None:
    images = scenes(8)
    exact, paper = measured(images, "exact", 2), measured(images, "paper", 2)
    for name in NAMES:
        alike = exact[name] == pytest.approx(paper[name], rel=1e-6)
        assert alike == (name in TASK_METRICS["segmentation"]), name


def test_protocols_agree_on_one_batch() -> None:
    images = scenes(2)
    assert_same(measured(images, "exact", 2), measured(images, "paper", 2))


def test_classes_that_never_occur_are_left_out() -> None:
    images = scenes(4, classes=[0, 3, 12])
    found = measured(images, "exact", 2)
    assert_same(found, in_numpy(*images))
    assert found["mIoU"] > 50


def test_a_class_that_is_only_predicted_counts_as_zero() -> None:
    labels = torch.zeros(1, 1, 2, dtype=torch.int64)
    logits = F.one_hot(torch.tensor([[[0, 5]]]), 13).movedim(-1, 1).float()
    metrics = metrics_of(tasks=["segmentation"])
    nothing = torch.zeros(1, 3, 1, 2)
    metrics.update([logits], Batch(nothing, labels, nothing[:, :1], nothing))
    assert metrics.compute() == {"mIoU": 25.0, "PixAcc": 50.0}  # IoU 1/2 and 0


@pytest.mark.parametrize("protocol", ["exact", "paper"])
def test_a_batch_without_valid_pixels_changes_nothing(protocol: str) -> None:
    images, empty = scenes(4), scenes(2, seed=5, unknown=1.1)
    metrics = metrics_of(protocol=protocol)
    for piece in (empty, part(images, slice(0, 2)), empty, part(images, slice(2, 4))):
        predictions, batch = piece
        metrics.update(predictions, without_targets(batch) if piece is empty else batch)
    assert_same(metrics.compute(), measured(images, protocol, 2))


@pytest.mark.parametrize("protocol", ["exact", "paper"])
def test_nothing_valid_at_all_is_not_a_number(protocol: str) -> None:
    predictions, batch = scenes(2)
    metrics = metrics_of(protocol=protocol)
    metrics.update(predictions, without_targets(batch))
    assert all(math.isnan(value) for value in metrics.compute().values())
    assert all(math.isnan(value) for value in metrics_of(protocol=protocol).compute().values())


@pytest.mark.parametrize("protocol", ["exact", "paper"])
def test_perfect_predictions(protocol: str) -> None:
    batch = scenes(2)[1]
    logits = F.one_hot(batch.label.clamp(min=0), 13).movedim(-1, 1).float()
    found = measured(([logits, batch.depth, batch.normal], batch), protocol, 2)
    assert_same(found, dict(zip(NAMES, [100, 100, 0, 0, 0, 0, 100, 100, 100], strict=True)))


@pytest.mark.parametrize("task", TASKS)
def test_single_task(task: str) -> None:
    images = scenes(4)
    predictions, batch = images
    found = measured(([predictions[TASKS.index(task)]], batch), "paper", 2, tasks=[task])
    everything = measured(images, "paper", 2)
    assert found == {name: everything[name] for name in TASK_METRICS[task]}


def test_two_tasks_of_seven_classes() -> None:
    (logits, depth, directions), batch = scenes(16, classes=range(7))
    without = Batch(batch.image, batch.label, batch.depth)
    metrics = metrics_of(n_classes=7, batch_size=8, tasks=("segmentation", "depth"))
    metrics.update([logits[:, :7], depth], without)
    expected = per_batch(([logits, depth, directions], batch), 8)
    found = metrics.compute()
    assert list(found) == [metric.name for metric in CITYSCAPES.metrics]
    assert found == pytest.approx({name: expected[name] for name in found}, rel=1e-5)


def test_not_a_number_in_predictions_shows() -> None:
    predictions, batch = scenes(2)
    predictions = [predictions[0], predictions[1] * torch.nan, predictions[2] * torch.nan]
    for protocol in ("exact", "paper"):
        found = measured((predictions, batch), protocol, 2)
        assert math.isnan(found["AbsErr"]) and math.isnan(found["Mean"])


def test_labels_in_eight_bits() -> None:
    predictions, batch = scenes(2)
    compact = Batch(batch.image, batch.label.to(torch.int8), batch.depth, batch.normal)
    assert measured((predictions, compact), "exact", 2) == measured((predictions, batch), "exact", 2)


def test_accumulators_are_independent() -> None:
    """Train and test never share: a second pass begins at zero."""
    images, others = scenes(4), scenes(4, seed=3)
    first = metrics_of()
    first.update(*others)
    assert_same(measured(images, "paper", 2), per_batch(images))
    assert_same(first.compute(), per_batch(others))


def test_memory_does_not_grow() -> None:
    metrics = metrics_of(protocol="exact")
    sizes = []
    for seed in range(3):
        metrics.update(*scenes(2, seed=seed))
        sizes.append(sum(v.nbytes for v in vars(metrics).values() if isinstance(v, Tensor)))
    assert sizes[0] == sizes[-1] < 9 << 20


def test_no_graph_is_kept() -> None:
    predictions, batch = scenes(2)
    metrics = metrics_of()
    metrics.update([p.requires_grad_() for p in predictions], batch)
    assert not any(v.requires_grad for v in vars(metrics).values() if isinstance(v, Tensor))


@pytest.mark.parametrize("number", [1, 2, 9, 10])
@pytest.mark.parametrize("median", [masked_median, median_by_sorting])
def test_masked_median(number: int, median: Callable[[Tensor, Tensor], Tensor]) -> None:
    generator = torch.Generator().manual_seed(number)
    values = torch.rand(20, generator=generator)
    valid = torch.zeros(20, dtype=torch.bool)
    valid[torch.randperm(20, generator=generator)[:number]] = True
    assert float(median(values, valid)) == pytest.approx(float(np.median(values[valid].numpy())))
    assert float(median(values, torch.zeros_like(valid))) == 0


@pytest.mark.parametrize("number", [1, 2, 101, 1000])
def test_histogram_median_is_within_a_bin(number: int) -> None:
    values = torch.rand(number, generator=torch.Generator().manual_seed(number), dtype=torch.float64)
    counts = torch.bincount((values * 512).long(), minlength=512)
    assert abs(histogram_median(counts, 1 / 512) - float(np.median(values.numpy()))) <= 1 / 512
    assert math.isnan(histogram_median(torch.zeros(4, dtype=torch.int64), 1.0))


def test_angles_by_hand() -> None:
    degrees = torch.tensor([0.0, 1e-3, 11.25, 90.0, 179.9, 180.0], dtype=torch.float64)
    turned = torch.stack([degrees.deg2rad().sin(), torch.zeros(6).double(), degrees.deg2rad().cos()])
    forward = torch.tensor([0.0, 0.0, 2.0]).view(1, 3, 1, 1).expand(1, 3, 1, 6)  # lengths do not matter
    found = angles(turned.view(1, 3, 1, 6).float(), forward).flatten().double()
    torch.testing.assert_close(found, degrees, rtol=1e-6, atol=1e-5)
    assert float(angles(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1))) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [({"protocol": "released"}, "choose one of exact, paper"), ({"batch_size": 0}, "at least one image")],
)
def test_bad_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics_of(**options)


def test_paper_batches_may_not_be_cut_across_updates() -> None:
    images = scenes(4)
    metrics = metrics_of(protocol="paper")
    metrics.update(*part(images, slice(0, 3)))
    with pytest.raises(ValueError, match="only the last may be"):
        metrics.update(*part(images, slice(3, 4)))
