"""Weights & Biases: online with an account, offline without one or where the service cannot be reached."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.common.errors import UserError
from experiments.common.progress import tell
from experiments.common.records import digest
from experiments.common.tracking import Pictures, flat_results, pixels

#: What W&B takes for ``WANDB_MODE``; the last two are old names of offline and online.
MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")


def import_wandb() -> Any:
    """The package; raises :class:`UserError` if it is not installed."""
    try:
        import wandb
    except ImportError as error:
        raise UserError(
            f"logger=wandb needs the package wandb ({error}); pip install wandb, or use logger=none."
        ) from error
    return wandb


def start_run(settings: Mapping[str, Any], folder: Path, **options: Any) -> Any:
    """A W&B run whose files lie in ``folder``; ``settings`` is the configuration's ``logger`` group.

    Its mode is the settings', else that of ``WANDB_MODE``, which may be ``disabled`` as well. Without either it is
    offline, and one line says so, if there is no account; likewise if the service cannot be reached within the
    time-out. The key stays where W&B itself keeps it: it is neither asked for nor written. Raises :class:`UserError`
    for a ``WANDB_MODE`` that W&B does not know.
    """
    wandb = import_wandb()
    asked = os.environ.get("WANDB_MODE") or None
    mode = settings["mode"] or asked
    if asked not in (None, *MODES):
        raise UserError(f"WANDB_MODE is {asked!r}; set it to online, offline or disabled, or unset it.")
    wandb.setup(settings=wandb.Settings(silent=True))
    if mode is None and not wandb.login(prompt=False, verify=False):
        mode = "offline"
        tell(f"There is no W&B account on this machine (wandb login); logging offline in {folder}.")
    timeout = settings["timeout_seconds"]
    quiet = wandb.Settings(init_timeout=timeout, finish_timeout=timeout, silent=True)
    options |= {
        "project": settings["project"],
        "entity": settings["entity"],
        "dir": os.fspath(folder),
        "settings": quiet,
        "reinit": "create_new",  # seeds that one process trains side by side have a run each
    }
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return wandb.init(mode=mode or "online", **options)
    except Exception as error:  # the service, the network and the key each fail in kinds of their own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        message = f"W&B cannot be reached ({reason}); logging offline in {folder}."
        tell(f"warning: {message}", aside=True)
        wandb.teardown()  # the service process still holds the run's identity
        return wandb.init(mode="offline", **options)


class WandbTracker:
    """A run of the project ``logger.project``; one that resumes goes on under its old identity."""

    title = "W&B"

    def __init__(self, settings: Mapping[str, Any], folder: Path, record: Mapping[str, Any]) -> None:
        self.method, self.seed = record["method"]["name"], record["seed"]
        self.run = start_run(
            settings,
            folder,
            name=record["name"],
            id=f"{record['name']}-{digest(record['started'])}",  # begun anew, a run does not go on under the old one
            group=self.method,
            tags=[record["benchmark"], str(record["config"].get("preset"))],
            resume="allow",
            config={
                **record["config"],
                "protocol": record["protocol"],
                "provenance": record["data"],
                "environment": record["environment"],
            },
        )

    def log(self, values: dict[str, float], epoch: int) -> None:
        self.run.log({"epoch": epoch, **values}, step=epoch)

    def log_pictures(self, make: Callable[[], Pictures], epoch: int) -> None:
        image = import_wandb().Image
        self.run.log({f"pictures/{name}": image(pixels(p)) for name, p in make().items()}, step=epoch)

    def finish(self, results: dict[str, Any]) -> None:
        log_results(self.run, {"method": self.method, "seed": self.seed}, results)
        self.run.finish(exit_code=int(results.get("status") == "failed"))


def log_results(run: Any, row: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Results as the run's summary and, with the fields of ``row`` before them, as its table ``results``."""
    flat = flat_results(results)
    if "metrics" in results:
        fields = {**row, **{key.removeprefix("result/"): value for key, value in flat.items()}}
        run.log({"results": import_wandb().Table(columns=list(fields), data=[list(fields.values())])})
    run.summary.update(flat)
