"""TensorBoard: event files in ``tensorboard/`` of the run's folder; ``tensorboard --logdir runs`` shows all runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import UserError
from experiments.common.tracking import Pictures, flat_results, pixels

FOLDER = "tensorboard"


class TensorBoardTracker:
    """Scalars under the common keys, pictures, and configuration and results as text."""

    title = "TensorBoard"

    def __init__(self, folder: Path, record: Mapping[str, Any]) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                f"logger=tensorboard needs a package ({error}); pip install tensorboard, or use logger=csv."
            ) from error
        self._make = SummaryWriter
        self._writer: Any = None
        self.folder, self.record = folder / FOLDER, record

    def _open(self, purge_step: int | None = None) -> Any:
        if self._writer is None:
            self._writer = self._make(str(self.folder), purge_step=purge_step)
            self._writer.add_text("configuration", _as_code(self.record["config"]))
        return self._writer

    def log(self, values: dict[str, float], epoch: int) -> None:
        # What a broken run may have written of this epoch and later ones is void.
        writer = self._open(purge_step=epoch)
        for key, value in values.items():
            writer.add_scalar(key, value, epoch)
        writer.flush()

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        writer = self._open()
        for name, picture in make().items():
            writer.add_image(f"pictures/{name}", pixels(picture), epoch, dataformats="HWC")
        writer.flush()

    def finish(self, results: dict[str, Any]) -> None:
        last = results.get("epoch", 0)
        writer = self._open()
        flat = {key: value for key, value in flat_results(results).items() if isinstance(value, int | float)}
        for key, value in flat.items():
            writer.add_scalar(key, value, last)
        if "metrics" in results:
            names = [key.removeprefix("result/") for key in flat]
            lines = [names, ["---"] * len(names), [f"{value:.6g}" for value in flat.values()]]
            writer.add_text("results", "\n".join(f"| {' | '.join(cells)} |" for cells in lines), last)
        writer.close()


def _as_code(value: Any) -> str:
    return "".join(f"    {line}\n" for line in json.dumps(value, indent=2).splitlines())
