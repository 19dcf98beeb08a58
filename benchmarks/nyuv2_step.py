"""One NYUv2 training step and one evaluation, the plain way against ours, in one process with the same weights.

    python -m benchmarks.nyuv2_step [--repeats 3] [--threads 2] [--size 96 128] [--width 1] [--channels-last]

*Training step*, on one batch. The plain way is what the released code and its descendants do: the losses stacked, so
that in MTAN each task's gradient walks all tasks' attention, and the passes of ``benchmarks/plain_nash.py``. Ours is
``methods``: the losses a list, the Gramian summed in float64 tensor by tensor, no further pass through the trunk.

*Evaluation*, on some frames, by the paper's protocol. The plain way loads four npy files a frame, as in MTAN's
layout, and takes the metrics of each batch of 2 through numpy. Ours has the frames in memory, as the store keeps
them, and :class:`SceneMetrics`. *without network*: the same, with predictions made before.

Frames are random numbers, whose values do not matter for the time. One warm-up, then the median over the repeats,
alternating between the two. *results differ by*: the relative length of the shared gradients' difference, the largest
difference of a metric (relative, of values above one). Gradients are compared in the same memory layout: another
order of float32 sums moves some maxima of max-pooling to other pixels, and much of an untrained network's gradient
with them (in float64 the layouts agree, see the tests).
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.plain_nash import plain_nash_backward
from benchmarks.timing import medians, seconds
from experiments.common.memory import keep_freed_memory
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.augment import augmented, step_generator
from experiments.scenes.data import test_batches
from experiments.scenes.frames import IGNORED, Batch, Frames, quantised_normals
from experiments.scenes.losses import task_losses
from experiments.scenes.metrics import SceneMetrics
from experiments.scenes.model import NETWORKS, make_network
from experiments.scenes.mtan import MTAN
from experiments.scenes.segnet import TASKS, SegNet
from methods import get_method

Network = SegNet | MTAN
N_CLASSES, PAPER_BATCH = len(NYUV2.classes), NYUV2.paper_batch
_PARTS = ("image", "label", "depth", "normal")


def random_frames(number: int, size: tuple[int, int]) -> Frames:
    """Frames as the store has them, all for testing; of a tenth of the pixels nothing is known."""
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(number, 1, *size, generator=generator) > 0.1
    normals = torch.nn.functional.normalize(torch.randn(number, 3, *size, generator=generator), dim=1)
    labels = torch.randint(N_CLASSES, (number, *size), dtype=torch.int8, generator=generator)
    positions = torch.arange(number)
    return Frames(
        image=torch.randint(256, (number, 3, *size), dtype=torch.uint8, generator=generator),
        label=torch.where(known[:, 0], labels, IGNORED),
        depth=((0.7 + 9 * torch.rand(number, 1, *size, generator=generator)) * known).half(),
        normal=quantised_normals(normals * known),
        train=positions[:0],
        test=positions,
        identity=positions + 1,
    )


def plain_step(network: Network, batch: Batch) -> None:
    """As every peer does it."""
    predictions, _ = network(batch.image)
    losses = torch.stack(task_losses(predictions, batch))
    network.zero_grad()
    plain_nash_backward(losses, list(network.shared_parameters()))


def our_step(network: Network, batch: Batch) -> None:
    predictions, representation = network(batch.image)
    get_method("nash_mtl", len(TASKS)).backward(
        task_losses(predictions, batch),
        shared_parameters=network.shared_parameters(),
        task_specific_parameters=network.task_specific_parameters(),
        representation=representation,
    )


def gradient_difference(plain: Network, ours: Network) -> float:
    """‖difference‖ / ‖gradient‖ over the shared parameters."""
    first, second = (
        torch.cat([p.grad.flatten() for p in network.shared_parameters() if p.grad is not None])
        for network in (plain, ours)
    )
    return float((first - second).norm() / first.norm())


def write_npy(folder: Path, frames: Frames) -> None:
    """MTAN's layout: channels last, one file a frame and part."""
    for part in _PARTS:
        (folder / part).mkdir()
    for i in range(len(frames)):
        frame = frames.batch([i])
        assert frame.normal is not None
        arrays = (frame.image.movedim(1, -1), frame.label, frame.depth.movedim(1, -1), frame.normal.movedim(1, -1))
        for part, array in zip(_PARTS, arrays, strict=True):
            np.save(folder / part / f"{i}.npy", array[0].float().numpy())


def npy_batches(folder: Path, number: int) -> Iterator[Batch]:
    for start in range(0, number, PAPER_BATCH):
        parts = []
        for part in _PARTS:
            arrays = [np.load(folder / part / f"{i}.npy") for i in range(start, min(start + PAPER_BATCH, number))]
            tensors = [torch.from_numpy(a if part == "label" else np.moveaxis(a, -1, 0)).float() for a in arrays]
            parts.append(torch.stack(tensors))
        yield Batch(parts[0], parts[1].long(), parts[2], parts[3])


def plain_evaluation(folder: Path, number: int, predict: Callable[[Tensor, int], tuple[Tensor, ...]]) -> list[float]:
    """The released protocol as it is commonly written: every batch's depth and normal metrics become numbers."""
    matrix = torch.zeros(N_CLASSES, N_CLASSES, dtype=torch.int64)
    batches = []
    for index, batch in enumerate(npy_batches(folder, number)):
        labels, depth, normals = batch.label, batch.depth, batch.normal
        assert normals is not None
        logits, predicted, directions = predict(batch.image, index)
        classes = torch.log_softmax(logits, dim=1).argmax(1).flatten()
        labelled = labels.flatten() >= 0
        cells = N_CLASSES * labels.flatten()[labelled] + classes[labelled]
        matrix += torch.bincount(cells, minlength=N_CLASSES**2).view(N_CLASSES, N_CLASSES)
        known = depth != 0
        error = (predicted[known] - depth[known]).abs()
        row = [error.mean().item(), (error / depth[known]).mean().item()]
        seen = normals.abs().sum(dim=1) != 0
        cosine = (directions * normals).sum(dim=1)[seen].clamp(-1, 1)
        angle = np.degrees(torch.acos(cosine).numpy())
        row += [np.mean(angle), np.median(angle), *(100 * np.mean(angle < t) for t in (11.25, 22.5, 30))]
        batches.append(row)
    hits = matrix.diagonal().double()
    iou = hits / (matrix.sum(0) + matrix.sum(1) - hits)
    return [100 * float(iou.mean()), 100 * float(hits.sum() / matrix.sum()), *np.mean(batches, axis=0)]


def our_evaluation(frames: Frames, predict: Callable[[Tensor, int], tuple[Tensor, ...]]) -> list[float]:
    metrics = SceneMetrics("cpu", n_classes=N_CLASSES, batch_size=PAPER_BATCH)
    for index, batch in enumerate(test_batches(frames, PAPER_BATCH)):
        metrics.update(predict(batch.image, index), batch)
    return list(metrics.compute().values())


def compare(plain: Callable[[], object], ours: Callable[[], object], repeats: int) -> str:
    """Cells of the table: median seconds of each, and their ratio."""
    slow, fast = medians((plain, ours), repeats)
    return f"{slow:.3f} | {fast:.3f} | {slow / fast:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=2, help="images of the training step")
    parser.add_argument("--width", type=float, default=1.0, help="factor on the networks' filters")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=NETWORKS)
    parser.add_argument("--frames", type=int, default=16, help="images of the evaluation; 0 leaves it out")
    parser.add_argument("--channels-last", action="store_true", help="ours only: weights and images channels last")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    layout = torch.channels_last if arguments.channels_last else torch.contiguous_format
    size = tuple(arguments.size)
    print(f"{size[0]}x{size[1]}, width {arguments.width:g}, {arguments.threads} threads, torch {torch.__version__}; ")
    print(f"training step: batch {arguments.batch}, evaluation: {arguments.frames} frames; ", end="")
    print(f"median of {arguments.repeats}\n")

    print("| what | network | plain, s | ours, s | ratio | results differ by |")
    print("|---|---|---|---|---|---|")
    shares = {}
    for name in arguments.networks:
        torch.manual_seed(0)
        plain = make_network(name, NYUV2.channels, width=arguments.width)
        ours = copy.deepcopy(plain)
        batch = random_frames(arguments.batch, size).batch(range(arguments.batch))
        plain_step(plain, batch)
        our_step(ours, batch)
        difference = gradient_difference(plain, ours)
        ours.to(memory_format=layout)  # type: ignore[call-overload]
        slow = partial(plain_step, plain, batch)
        fast = partial(our_step, ours, replace(batch, image=batch.image.to(memory_format=layout)))
        fast()
        print(f"| Nash-MTL step | {name} | {compare(slow, fast, arguments.repeats)} | {difference:.0e} |", flush=True)
        shares[name] = waiting_for_data(fast, arguments.batch, size, arguments.repeats)
        if arguments.frames:
            evaluations(name, plain.eval(), ours.eval(), arguments, layout)
    told = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    print(f"\nShare of a training step that fetches and augments its batch (ours): {told}.")


def waiting_for_data(step: Callable[[], object], batch: int, size: tuple[int, int], repeats: int) -> float:
    """Median time to fetch a batch from the frames in memory and to augment it, over that and the step's."""
    frames = random_frames(4 * batch, size)
    positions = range(0, 4 * batch, 4)

    def fetch(index: int) -> Batch:
        return augmented(frames.batch(positions), step_generator(0, 0, index))

    data = statistics.median(seconds(partial(fetch, index)) for index in range(repeats))
    (rest,) = medians((step,), repeats)
    return data / (data + rest)


@torch.no_grad()
def evaluations(
    name: str, plain: Network, ours: Network, arguments: argparse.Namespace, layout: torch.memory_format
) -> None:
    """Both ways with the plain network's weights, once with the network and once with its predictions at hand."""
    ours.load_state_dict(plain.state_dict())
    frames = random_frames(arguments.frames, tuple(arguments.size))
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        write_npy(folder, frames)
        made = [plain(batch.image)[0] for batch in npy_batches(folder, len(frames))]
        networks = (lambda x, _: plain(x)[0], lambda x, _: ours(x.to(memory_format=layout))[0])
        for what, (slow_predict, fast_predict) in {
            "evaluation": networks,
            "without network": (lambda _, i: made[i], lambda _, i: made[i]),
        }.items():
            slow = partial(plain_evaluation, folder, len(frames), slow_predict)
            fast = partial(our_evaluation, frames, fast_predict)
            difference = max(abs(a - b) / max(abs(a), 1) for a, b in zip(slow(), fast(), strict=True))
            print(f"| {what} | {name} | {compare(slow, fast, arguments.repeats)} | {difference:.0e} |", flush=True)


if __name__ == "__main__":
    main()
