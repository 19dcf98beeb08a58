"""The schema of every configuration: a key that is misspelt or of the wrong type fails before anything starts.

The YAML files under ``configs/`` give the values; these dataclasses say which there may be.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hydra
import torch
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import UserError
from methods import Method, get_method

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    batch_size: int = MISSING


@dataclass
class OptimizerConfig:
    """Adam; ``method_lr`` is the learning rate of the method's own parameters (UW)."""

    lr: float = MISSING
    method_lr: float = MISSING


@dataclass
class ReportConfig:
    """``reference``: the single-task values of Δm, ``published`` or ``ours`` (from this project's STL records)."""

    reference: str = "published"


@dataclass
class LoggerConfig:
    """``name``: none or wandb; ``mode``: online, offline, or null for online where there is an account."""

    name: str = "none"
    project: str | None = None
    entity: str | None = None
    mode: str | None = None
    timeout_seconds: float = 20.0


@dataclass
class RunConfig:
    """Where and how a run is carried out; nothing here changes its numbers on a given machine."""

    root: str = MISSING
    device: str = "auto"
    threads: int | None = None
    checkpoint_every: int = 500
    progress: bool = True


@dataclass
class BaseConfig:
    """What all benchmarks' configurations have in common."""

    benchmark: str = MISSING
    preset: str = MISSING
    seed: int = 0
    method: dict[str, Any] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    run: RunConfig = field(default_factory=RunConfig)


def require(condition: bool, setting: str, value: Any, expected: str) -> None:
    """Raise :class:`UserError` naming the setting, what it was and what it may be, unless ``condition``."""
    if not condition:
        raise UserError(f"{setting} is {value!r}; expected {expected}.")


def check_base(config: BaseConfig) -> None:
    """Raise :class:`UserError` for values that no benchmark can run with."""
    require(config.seed >= 0, "seed", config.seed, "0 or a positive number")
    require(config.trainer.epochs >= 1, "trainer.epochs", config.trainer.epochs, "at least 1")
    require(config.trainer.batch_size >= 1, "trainer.batch_size", config.trainer.batch_size, "at least 1")
    for name in ("lr", "method_lr"):
        value = getattr(config.optimizer, name)
        require(0 < value < float("inf"), f"optimizer.{name}", value, "a positive number")
    references = ("published", "ours")
    require(
        config.report.reference in references, "report.reference", config.report.reference, " or ".join(references)
    )
    require(config.logger.name in ("none", "wandb"), "logger.name", config.logger.name, "none or wandb")
    require(
        config.logger.mode in (None, "online", "offline"),
        "logger.mode",
        config.logger.mode,
        "online, offline or null",
    )
    require(config.run.checkpoint_every >= 0, "run.checkpoint_every", config.run.checkpoint_every, "0 (off) or more")
    require(config.run.threads is None or config.run.threads >= 1, "run.threads", config.run.threads, "at least 1")


def make_method(config: BaseConfig, n_tasks: int, device: torch.device) -> Method:
    """The configured method; raises :class:`UserError` for an unknown method or option, or a bad value."""
    options = dict(config.method)
    name = options.pop("name", None)
    if "seed" in options and options["seed"] is None:
        options["seed"] = config.seed
    try:
        return get_method(str(name), n_tasks, **options).to(device)
    except (ValueError, TypeError) as error:
        raise UserError(f"method {name}: {error}") from error


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; raises :class:`UserError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"run.device {name!r} cannot be used ({reason}); use auto, cpu or cuda.") from error
    return device


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a function of a configuration into a Hydra command with one-line errors.

    ``config_name`` is a file under ``configs/``. Overrides, multirun and ``--help`` are Hydra's.
    """

    def decorate(run: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(run)
        def main() -> None:
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing a report of its own
            failed = []

            @functools.wraps(run)
            def job(config: DictConfig) -> None:
                try:  # within the job, so that a multirun goes on with the next one
                    run(config)
                except UserError as error:
                    failed.append(error)
                    print(f"error: {error}", file=sys.stderr, flush=True)

            directory, _, name = config_name.rpartition("/")
            try:
                hydra.main(version_base="1.3", config_path=str(CONFIGS / directory), config_name=name)(job)()
            except (HydraException, OmegaConfBaseException) as error:
                failed.append(error)
                print(f"error: {_one_line(error)}", file=sys.stderr, flush=True)
            if failed:
                raise SystemExit(1)

        return main

    return decorate


def _one_line(error: BaseException) -> str:
    """Hydra's and OmegaConf's messages without the lines that only their developers need."""
    cause = error.__cause__
    lines = [*str(error).splitlines(), *(str(cause).splitlines() if cause is not None else [])]
    noise = ("full_key", "object_type", "reference_type", "Config search path", "provider=", "To append to", "In '")
    kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith(noise)]
    return " ".join(" ".join(dict.fromkeys(kept)).replace("\t", " ").split())


OmegaConf.register_new_resolver("configs", lambda: str(CONFIGS), replace=True)
