"""Experiment tracking: one interface, Weights & Biases behind it by choice, nothing by default.

All benchmarks log the same keys: ``train/loss/TASK``, ``validation/METRIC``, ``test/METRIC`` (``delta_m`` among
them), ``weights/TASK``, ``gramian/smallest_eigenvalue``, ``learning_rate``, ``seconds``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


class NoTracker:
    """Logs nothing."""

    def log(self, values: dict[str, float], epoch: int) -> None:
        pass

    def finish(self, results: dict[str, Any]) -> None:
        pass


class WandbTracker:
    """Weights & Biases; offline without an account, and never the reason for a run to stop.

    A run that resumes goes on under its old identity. If the service cannot be reached within the time-out
    the run is logged offline, and one line says so.
    """

    def __init__(self, settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> None:
        import wandb  # heavy, and only for those who want it

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
        quiet = wandb.Settings(init_timeout=settings["timeout_seconds"], silent=True)
        try:
            self.run = wandb.init(mode=mode, settings=quiet, **options)
        except (wandb.errors.Error, OSError, TimeoutError) as error:
            reason = str(error).splitlines()[0]
            print(f"warning: W&B cannot be reached ({reason}); logging offline in {folder}.", file=sys.stderr)
            self.run = wandb.init(mode="offline", settings=quiet, **options)

    def log(self, values: dict[str, float], epoch: int) -> None:
        self.run.log({"epoch": epoch, **values}, step=epoch)

    def finish(self, results: dict[str, Any]) -> None:
        self.run.summary.update({f"result/{key}": value for key, value in results.items()})
        self.run.finish()


Tracker = NoTracker | WandbTracker


def open_tracker(settings: dict[str, Any], folder: Path, record: dict[str, Any]) -> Tracker:
    """The tracker that the configuration's ``logger`` group names."""
    return WandbTracker(settings, folder, record) if settings["name"] == "wandb" else NoTracker()


def flat_metrics(entry: dict[str, Any]) -> dict[str, float]:
    """An epoch's entry of the record under the keys that every benchmark logs."""
    flat = {"learning_rate": entry["learning_rate"], "seconds": entry["seconds"]}
    flat |= {f"train/loss/{task}": loss for task, loss in entry["train_losses"].items()}
    for split in ("validation", "test"):
        flat |= {f"{split}/{name}": value for name, value in entry[split].items()}
    flat |= {f"weights/{task}": weight for task, weight in (entry["weights"] or {}).items()}
    if entry["smallest_eigenvalue"] is not None:
        flat["gramian/smallest_eigenvalue"] = entry["smallest_eigenvalue"]
    return flat
