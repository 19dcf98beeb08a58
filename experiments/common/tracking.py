"""Experiment tracking: one interface, Weights & Biases behind it by choice, nothing by default.

All benchmarks log the same keys: ``train/loss/TASK``, ``validation/METRIC``, ``test/METRIC`` (``delta_m`` among
them), ``weights/TASK``, ``gramian/smallest_eigenvalue``, ``learning_rate``, ``seconds``; and
where a benchmark has pictures, some of the test set at the end of the run as ``pictures/NAME``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numpy import ndarray

from experiments.common.errors import UserError

Pictures = Mapping[str, ndarray]  # by name, [H, W, 3], uint8


class NoTracker:
    """Logs nothing."""

    def log(self, values: dict[str, float], epoch: int) -> None:
        pass

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        pass  # nor makes any

    def finish(self, results: dict[str, Any]) -> None:
        pass


class WandbTracker:
    """Weights & Biases; offline without an account, and never the reason for a run to stop.

    A run that resumes goes on under its old identity. If the service cannot be reached within the time-out
    the run is logged offline, and one line says so. If logging fails later, one line says so and the run goes
    on without it.
    """

    def __init__(self, settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> None:
        try:
            import wandb  # heavy, and only for those who want it
        except ImportError as error:
            raise UserError(
                f"logger=wandb needs the package wandb ({error}); pip install wandb, or use logger=none."
            ) from error

        options: dict[str, Any] = {
            "project": settings["project"],
            "entity": settings["entity"],
            "name": record["name"],
            "id": record["name"],
            "group": record["method"]["name"],
            "config": record["config"],
            "dir": os.fspath(folder),
            "resume": "allow",
            "reinit": "finish_previous",
        }
        mode = settings["mode"] or ("online" if wandb.api.api_key else "offline")
        timeout = settings["timeout_seconds"]
        quiet = wandb.Settings(init_timeout=timeout, finish_timeout=timeout, silent=True)
        self.folder, self.works = folder, True
        try:
            self.run = wandb.init(mode=mode, settings=quiet, **options)
        except Exception as error:  # the service, the network and the key each fail in kinds of their own
            self._warn("cannot be reached", error, f"logging offline in {folder}")
            wandb.teardown()  # the service process still holds the run's identity
            self.run = wandb.init(mode="offline", settings=quiet, **options)

    def log(self, values: dict[str, float], epoch: int) -> None:
        self._attempt(lambda: self.run.log({"epoch": epoch, **values}, step=epoch))

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        """Log what ``make`` draws with the row of ``epoch``, the last one logged."""
        import wandb

        self._attempt(
            lambda: self.run.log({f"pictures/{name}": wandb.Image(p) for name, p in make().items()}, step=epoch)
        )

    def finish(self, results: dict[str, Any]) -> None:
        self._attempt(lambda: self.run.summary.update({f"result/{key}": value for key, value in results.items()}))
        self._attempt(self.run.finish)

    def _attempt(self, action: Callable[[], Any]) -> None:
        if not self.works:
            return
        try:
            action()
        except Exception as error:  # whatever it is, a run of hours does not end for it
            self.works = False
            self._warn("has failed", error, "this run is no longer logged")

    def _warn(self, what: str, error: Exception, consequence: str) -> None:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        print(f"warning: W&B {what} ({reason}); {consequence}.", file=sys.stderr, flush=True)


Tracker = NoTracker | WandbTracker


def open_tracker(settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> Tracker:
    """The tracker that the configuration's ``logger`` group names."""
    return WandbTracker(settings, folder, record) if settings["name"] == "wandb" else NoTracker()


def flat_metrics(entry: dict[str, Any]) -> dict[str, float]:
    """An epoch's entry of the record under the keys that every benchmark logs."""
    flat = {"learning_rate": entry["learning_rate"], "seconds": entry["seconds"]}
    flat |= {f"train/loss/{task}": loss for task, loss in entry["train_losses"].items()}
    for split in ("validation", "test"):
        flat |= {f"{split}/{name}": value for name, value in entry.get(split, {}).items()}
    flat |= {f"weights/{task}": weight for task, weight in (entry["weights"] or {}).items()}
    if entry["smallest_eigenvalue"] is not None:
        flat["gramian/smallest_eigenvalue"] = entry["smallest_eigenvalue"]
    return flat
