"""Pictures of a run: test frames as put in, true, predicted and how far off; losses and metrics over the epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor, nn

from experiments.common.style import BLUE, VERMILION, as_array, new_figure, paper_style
from experiments.scenes.data import spread
from experiments.scenes.frames import IGNORED, Batch, Frames
from experiments.scenes.losses import valid_normals
from experiments.scenes.metrics import TASK_METRICS, angles
from experiments.scenes.scene_set import SceneSet

_UNKNOWN = (0.0, 0.0, 0.0)
_RIGHT, _WRONG = (0.88, 0.88, 0.88), (0.84, 0.37, 0.0)
_WIDTH = 3.0  # inches, of one panel


def predicted(network: nn.Module, tasks: Sequence[str], batch: Batch) -> dict[str, Tensor]:
    """The predictions for a batch by task, on the CPU; the network is left in evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    with torch.no_grad():
        outputs, _ = network(batch.image.to(device))
    return {task: output.float().cpu() for task, output in zip(tasks, outputs, strict=True)}


def test_pictures(
    scenes: SceneSet, network: nn.Module, tasks: Sequence[str], frames: Frames, count: int
) -> dict[str, np.ndarray]:
    """Pictures [h, w, 3], uint8, of ``count`` test frames, spread evenly, by the frames' numbers."""
    made = {}
    for position in spread(frames.test, min(count, len(frames.test))):
        batch = frames.batch(position[None]).to("cpu")
        number = f"{int(frames.identity[position]):04d}"
        made[number] = as_array(frame_picture(scenes, batch, predicted(network, tasks, batch), number))
    return made


test_pictures.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test


def frame_picture(scenes: SceneSet, batch: Batch, predictions: Mapping[str, Tensor], title: str) -> Figure:
    """One frame (a batch of one): the input, and for each predicted task truth, prediction and error."""
    height, width = batch.image.shape[-2:]
    panel = _WIDTH * height / width + 0.35
    with paper_style():
        figure = new_figure(_WIDTH * (len(predictions) + 1), 3 * panel)
        axes = figure.subplots(3, len(predictions) + 1, squeeze=False)
        for ax in axes.flat:
            ax.set_axis_off()
        axes[0, 0].imshow(batch.image[0].permute(1, 2, 0).numpy())
        axes[0, 0].set_title(f"frame {title}")
        for column, (task, prediction) in zip(axes.T[1:], predictions.items(), strict=True):
            _DRAW[task](scenes, column, batch, prediction[0])
        if "segmentation" in predictions:
            colours = class_colours(len(scenes.classes))
            patches = [Patch(color=colour, label=name) for name, colour in zip(scenes.classes, colours, strict=True)]
            patches += [Patch(color=_UNKNOWN, label="not labelled")]
            axes[1, 0].legend(handles=patches, loc="center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def curves_picture(scenes: SceneSet, record: Mapping[str, Any]) -> Figure:
    """The training loss of each task over the epochs of a run, and below it the task's first test metric."""
    epochs = record["epochs"]
    tasks = list(epochs[0]["train_losses"])
    units = {metric.name: metric.unit for metric in scenes.metrics}
    number = [epoch["epoch"] + 1 for epoch in epochs]
    with paper_style():
        figure = new_figure(_WIDTH * len(tasks) + 0.5, 4.6)
        axes = figure.subplots(2, len(tasks), squeeze=False, sharex=True)
        for (above, below), task in zip(axes.T, tasks, strict=True):
            name = TASK_METRICS[task][0]
            above.plot(number, [epoch["train_losses"][task] for epoch in epochs], color=BLUE, marker=".")
            below.plot(number, [epoch["test"][name] for epoch in epochs], color=VERMILION, marker=".")
            above.set_title(task)
            above.set_ylabel("training loss")
            below.set_ylabel(f"test {name}" + (f", {units[name]}" if units[name] else ""))
            below.set_xlabel("epoch")
            below.xaxis.get_major_locator().set_params(integer=True)
        synthetic = ", SYNTHETIC data" if record["data"].get("synthetic") else ""
        figure.suptitle(f"{scenes.title}, {record['name']}{synthetic}", fontsize=10)
    return figure


def class_colours(number: int) -> list[tuple[float, float, float]]:
    """A colour for each class; strong ones first, then their pale companions."""
    palette = matplotlib.colormaps["tab20"].colors  # type: ignore[attr-defined]
    ordered = [*palette[::2], *palette[1::2]]
    return [ordered[place % len(ordered)] for place in range(number)]


def _draw_segmentation(scenes: SceneSet, axes: Sequence[Axes], batch: Batch, logits: Tensor) -> None:
    colours = np.array([_UNKNOWN, *class_colours(len(scenes.classes))])
    label, guess = batch.label[0].numpy(), logits.argmax(0).numpy()
    known = label != IGNORED
    accuracy = 100 * (guess == label)[known].mean() if known.any() else float("nan")
    wrong = np.where(known[..., None], np.where((guess == label)[..., None], _RIGHT, _WRONG), _UNKNOWN)
    _show(axes[0], colours[label + 1], "labels")
    _show(axes[1], colours[guess + 1], "predicted")
    _show(axes[2], wrong, f"wrong (orange); {accuracy:.1f} % right")


def _draw_depth(scenes: SceneSet, axes: Sequence[Axes], batch: Batch, prediction: Tensor) -> None:
    true, guess = batch.depth[0, 0].numpy(), prediction[0].numpy()
    known = true > 0
    error = np.abs(guess - true)
    name, unit = ("inverse depth", "") if scenes.inverse_depth else ("depth", " m")
    largest = float(np.percentile(true[known], 99)) if known.any() else 1.0
    mean = f"{error[known].mean():.3g}{unit}" if known.any() else "none known"
    for ax, values, title, colours, most in (
        (axes[0], np.ma.array(true, mask=~known), f"{name}{unit and ',' + unit}", "viridis", largest),
        (axes[1], guess, "predicted", "viridis", largest),
        (axes[2], np.ma.array(error, mask=~known), f"error; mean {mean}", "magma", largest / 4),
    ):
        _show(ax, values, title, colours, most)


def _draw_normals(scenes: SceneSet, axes: Sequence[Axes], batch: Batch, prediction: Tensor) -> None:
    assert batch.normal is not None
    known = valid_normals(batch.normal)[0, 0].numpy()
    error = angles(prediction[None], batch.normal)[0].numpy()
    true, guess = (((n.permute(1, 2, 0).numpy() + 1) / 2).clip(0, 1) for n in (batch.normal[0], prediction))
    mean = f"{error[known].mean():.1f}°" if known.any() else "none known"
    _show(axes[0], np.where(known[..., None], true, 0), "normals")
    _show(axes[1], guess, "predicted")
    _show(axes[2], np.ma.array(error, mask=~known), f"angle; mean {mean}", "magma", 90.0)


_DRAW: dict[str, Callable[[SceneSet, Sequence[Axes], Batch, Tensor], None]] = {
    "segmentation": _draw_segmentation,
    "depth": _draw_depth,
    "normals": _draw_normals,
}


def _show(ax: Axes, values: Any, title: str, colours: str | None = None, largest: float | None = None) -> None:
    """A panel; where ``largest`` is given the values are on a colour scale from 0 to it, with a bar."""
    if largest is None:
        ax.imshow(values, interpolation="nearest")
    else:
        scale = matplotlib.colormaps[colours or "viridis"].with_extremes(bad="black")
        image = ax.imshow(values, cmap=scale, vmin=0, vmax=largest, interpolation="nearest")
        ax.figure.colorbar(image, ax=ax, fraction=0.046, pad=0.02)
    ax.set_title(title)
