"""Experiment tracking: one interface, and behind it Weights & Biases, TensorBoard, CSV files, several or none.

All benchmarks log the same keys, once an epoch:

* ``train/loss/TASK``, ``validation/METRIC``, ``test/METRIC`` (``delta_m`` among them), ``learning_rate``;
* ``weights/TASK``: the mean task weights; ``gramian/smallest_eigenvalue``, ``gramian/largest_eigenvalue`` and
  ``gramian/smallest_cosine`` (of the two tasks that conflict most): means over the steps with a Gramian;
  ``solver/STATUS``: in how many steps the solver ended so;
* MT10 has two networks' losses: its TASK is ``critic/TASK`` and ``actor/TASK`` in the losses and weights, and its
  ``solver`` and ``gramian`` keys name them as well (``gramian/critic/smallest_eigenvalue``);
* ``speed/steps_per_second``, ``speed/samples_per_second`` (of training), ``speed/epoch_seconds`` (with evaluation);

pictures under ``pictures/NAME``, and at the end ``result/METRIC``, ``result/delta_m``, ``result/epoch`` and, where
the tracker has tables, one named ``results``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from experiments.common.errors import UserError
from experiments.common.progress import tell

#: By name: a file, or pixels ``[H, W]`` or ``[H, W, 3]``, bytes or floating-point numbers from 0 to 1.
Picture = Path | NDArray[Any]
Pictures = Mapping[str, Picture]

TRACKERS = ("none", "wandb", "tensorboard", "csv")


class Tracker(Protocol):
    """Where a run's numbers go."""

    @property
    def title(self) -> str:
        """What messages call it."""

    def log(self, values: dict[str, float], epoch: int) -> None:
        """Take an epoch's numbers; epochs come in order, the last one perhaps again after a resumption."""

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        """Take what ``make`` draws, as pictures of an epoch."""

    def finish(self, results: dict[str, Any]) -> None:
        """End with the run's results (``metrics``, ``delta_m``, ``epoch``), or its ``status`` without any."""


class NoTracker:
    """Logs nothing."""

    title = "none"

    def log(self, values: dict[str, float], epoch: int) -> None:
        pass

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        pass  # nor draws any

    def finish(self, results: dict[str, Any]) -> None:
        pass


class Trackers:
    """Several trackers. One that fails is named once and no longer used: a run of hours does not end for it."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self.trackers = list(trackers)

    @property
    def title(self) -> str:
        return ", ".join(tracker.title for tracker in self.trackers)

    def log(self, values: dict[str, float], epoch: int) -> None:
        self._each(lambda tracker: tracker.log(values, epoch))

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        try:
            drawn = make()
        except Exception as error:  # no picture is worth a run
            tell(f"warning: the pictures cannot be drawn ({_reason(error)}).", aside=True)
            return
        self._each(lambda tracker: tracker.log_pictures(lambda: drawn, epoch))

    def finish(self, results: dict[str, Any]) -> None:
        self._each(lambda tracker: tracker.finish(results))

    def _each(self, action: Callable[[Tracker], None]) -> None:
        for tracker in list(self.trackers):
            try:
                action(tracker)
            except Exception as error:  # services, disks and formats each fail in kinds of their own
                self.trackers.remove(tracker)
                message = f"{tracker.title} has failed ({_reason(error)}); this run is no longer logged there."
                tell(f"warning: {message}", aside=True)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def open_tracker(settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> Tracker:
    """The trackers that the configuration's ``logger`` group names (``name`` and ``also``), for a run in ``folder``.

    Raises :class:`UserError` if a package that one needs is not there.
    """
    names = dict.fromkeys([settings["name"], *settings.get("also", ())])
    opened: list[Tracker] = []
    for name in names:
        try:
            if (tracker := _open(name, settings, folder, record)) is not None:
                opened.append(tracker)
        except UserError:
            raise
        except Exception as error:  # services, disks and damaged files each fail in kinds of their own
            message = f"logger {name} cannot be used ({_reason(error)}); this run is not logged there."
            tell(f"warning: {message}", aside=True)
    return Trackers(opened) if opened else NoTracker()


def _open(name: str, settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> Tracker | None:
    """The tracker of that name; their packages are heavy, and only for those who want them."""
    if name == "wandb":
        from experiments.common.wandb_tracker import WandbTracker

        return WandbTracker(settings, folder, record)
    if name == "tensorboard":
        from experiments.common.tensorboard_tracker import TensorBoardTracker

        return TensorBoardTracker(folder, record)
    if name == "csv":
        from experiments.common.csv_tracker import CsvTracker

        return CsvTracker(folder)
    return None


def flat_metrics(entry: dict[str, Any]) -> dict[str, float]:
    """An epoch's entry of the record under the keys that every benchmark logs."""
    flat = {"learning_rate": entry["learning_rate"], "speed/epoch_seconds": entry["seconds"]}
    flat |= {f"train/loss/{task}": loss for task, loss in entry["train_losses"].items()}
    for split in ("validation", "test"):
        flat |= {f"{split}/{name}": value for name, value in entry.get(split, {}).items()}
    flat |= {f"weights/{task}": weight for task, weight in (entry.get("weights") or {}).items()}
    for name in ("smallest_eigenvalue", "largest_eigenvalue", "smallest_cosine"):
        if entry.get(name) is not None:
            flat[f"gramian/{name}"] = entry[name]
    flat |= {f"gramian/{name}": value for name, value in entry.get("gramian", {}).items()}
    flat |= {f"solver/{status}": count for status, count in entry.get("solver_statuses", {}).items()}
    if seconds := entry.get("train_seconds"):
        flat |= {f"speed/{count}_per_second": entry[count] / seconds for count in ("steps", "samples")}
    return flat


def flat_results(results: Mapping[str, Any]) -> dict[str, Any]:
    """A run's results (or its status) under ``result/``; what is neither a number nor a text is left out."""
    named = {**results.get("metrics", {}), **{key: value for key, value in results.items() if key != "metrics"}}
    return {f"result/{key}": value for key, value in named.items() if isinstance(value, int | float | str)}


def pixels(picture: Picture) -> NDArray[np.uint8]:
    """A picture as bytes ``[H, W, 3]``; raises ``ValueError`` for an array of another shape."""
    if isinstance(picture, Path):
        from PIL import Image

        with Image.open(picture) as image:
            return np.asarray(image.convert("RGB"))
    array = np.asarray(picture)
    if array.ndim == 2:
        array = array[..., None].repeat(3, axis=2)
    if array.ndim != 3 or array.shape[2] != 3:
        raise ValueError(f"a picture has shape {np.shape(picture)}, expected [H, W] or [H, W, 3]")
    if array.dtype != np.uint8:
        array = (array.astype(np.float64).clip(0.0, 1.0) * 255.0).round().astype(np.uint8)
    return array
