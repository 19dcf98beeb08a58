"""The schema of every configuration: a key that is misspelt or of the wrong type fails before anything starts.

The YAML files under ``configs/`` give the values; these dataclasses say which there may be.
"""

from __future__ import annotations

import functools
import importlib
import math
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import hydra
import torch
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.common.errors import Diverged, UserError
from experiments.common.hydra_errors import launcher_error, one_line, unknown_setting
from experiments.common.multirun import multirun_first
from experiments.common.names import PAPER_METHODS
from experiments.common.progress import give_up_what_cannot_be_written, tell
from experiments.common.search import LEARNING_RATE, is_search, objective
from experiments.common.sweeps import choose_after_all, no_sweep_under_way
from experiments.common.tracking import TRACKERS
from methods import METHODS, Method, get_method

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    batch_size: int = MISSING


@dataclass
class OptimizerConfig:
    """Adam; ``method_lr`` is the learning rate of the method's own parameters (UW).

    ``fused``: one kernel instead of one a parameter, the same up to float32's rounding.
    """

    lr: float = MISSING
    method_lr: float = MISSING
    fused: bool = False


@dataclass
class ReportConfig:
    """``reference``: the single-task values of Δm, ``published`` or ``ours`` (from this project's STL records)."""

    reference: str = "published"


@dataclass
class LoggerConfig:
    """``name``: none, wandb, tensorboard or csv, ``also``: further ones; the rest is W&B's.

    ``mode``: online, offline, or null for what ``WANDB_MODE`` says, else for online where there is an account.
    """

    name: str = "none"
    also: list[str] = field(default_factory=list)
    project: str = "nash-mtl-suite"
    entity: str | None = None
    mode: str | None = None
    timeout_seconds: float = 20.0


@dataclass
class RunConfig:
    """Where and how a run is carried out; nothing here changes its numbers on a given machine.

    ``keep_network``: leave the trained network in the run's folder.
    """

    root: str = MISSING
    device: str = "auto"
    threads: int | None = None
    checkpoint_every: int = 500
    keep_network: bool = True
    progress: bool = True


@dataclass
class SupervisedRunConfig(RunConfig):
    """``checkpoint_seconds``: no checkpoint comes sooner than this after the last; a large network's take seconds."""

    checkpoint_seconds: float = 0.0


@dataclass
class SearchConfig:
    """``split``: whose Δm a search minimises; ``test`` only where there is no validation split, and to be told.

    ``over``: the setting that is searched.
    """

    split: str = "validation"
    over: str = LEARNING_RATE


@dataclass
class BaseConfig:
    """What all benchmarks' configurations have in common.

    ``splits``: which the benchmark has, besides what it trains on.
    """

    splits: ClassVar[tuple[str, ...]] = ("test",)

    benchmark: str = MISSING
    preset: str = MISSING
    seed: int = 0
    method: dict[str, Any] = field(default_factory=dict)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    search: SearchConfig = field(default_factory=SearchConfig)


@dataclass
class SupervisedConfig(BaseConfig):
    """What the benchmarks that go through a data set have in common."""

    run: SupervisedRunConfig = field(default_factory=SupervisedRunConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    report: ReportConfig = field(default_factory=ReportConfig)


def require(condition: bool, setting: str, value: Any, expected: str) -> None:
    """Raise :class:`UserError` naming the setting, what it was and what it may be, unless ``condition``."""
    if not condition:
        raise UserError(f"{setting} is {value!r}; expected {expected}.")


def check_keys(config: DictConfig, schema: Any, prefix: str = "") -> None:
    """Raise :class:`UserError` for a key outside the schema, which ``+key=value`` would slip in unread."""
    known = [entry.name for entry in fields(schema)]
    for key in map(str, config):
        if key not in known:
            raise UserError(unknown_setting(f"{prefix}{key}", known))
        value = getattr(schema, key)
        if is_dataclass(value):
            check_keys(config[key], value, f"{prefix}{key}.")


def check_base(config: BaseConfig) -> None:
    """Raise :class:`UserError` for values that no benchmark can run with."""
    method = config.method.get("name")
    require(method in METHODS, "method", method, "one of " + ", ".join(METHODS))
    require(0 <= config.seed < 1 << 63, "seed", config.seed, "0 or a positive number below 2^63")
    *others, last = TRACKERS
    trackers = f"{', '.join(others)} or {last}"
    require(config.logger.name in TRACKERS, "logger.name", config.logger.name, trackers)
    require(set(config.logger.also) <= set(TRACKERS), "logger.also", config.logger.also, f"a list of {trackers}")
    require(
        config.logger.mode in (None, "online", "offline"),
        "logger.mode",
        config.logger.mode,
        "online, offline or null",
    )
    timeout = config.logger.timeout_seconds
    require(0 < timeout < float("inf"), "logger.timeout_seconds", timeout, "a positive number")
    split = config.search.split
    require(split in ("validation", "test"), "search.split", split, "validation or test")
    if is_search() and split not in config.splits:
        raise UserError(
            f"{config.benchmark} has no {split} split, by which a search could choose; set search.split=test to "
            "choose by the test split, and say so where you report it."
        )
    require(config.run.root != "", "run.root", config.run.root, "a folder")
    require(config.run.checkpoint_every >= 0, "run.checkpoint_every", config.run.checkpoint_every, "0 (off) or more")
    require(config.run.threads is None or config.run.threads >= 1, "run.threads", config.run.threads, "at least 1")


def check_supervised(config: SupervisedConfig) -> None:
    """Raise :class:`UserError` for values that no benchmark with a data set can run with."""
    check_base(config)
    require(config.trainer.epochs >= 1, "trainer.epochs", config.trainer.epochs, "at least 1")
    require(config.trainer.batch_size >= 1, "trainer.batch_size", config.trainer.batch_size, "at least 1")
    seconds = config.run.checkpoint_seconds
    require(0 <= seconds < float("inf"), "run.checkpoint_seconds", seconds, "0 (every one is written) or more")
    for name in ("lr", "method_lr"):
        value = getattr(config.optimizer, name)
        require(0 < value < float("inf"), f"optimizer.{name}", value, "a positive number")
    references = ("published", "ours")
    require(
        config.report.reference in references, "report.reference", config.report.reference, " or ".join(references)
    )


def make_method(config: BaseConfig, n_tasks: int, device: torch.device) -> Method:
    """The configured method; raises :class:`UserError` for an unknown method or option, or a bad value."""
    options = dict(config.method)
    name = options.pop("name", None)
    require(name in METHODS, "method", name, "one of " + ", ".join(METHODS))
    if "seed" in options and options["seed"] is None:
        options["seed"] = config.seed
    for option, value in options.items():
        _check_type(METHODS[name], option, value)
    try:
        return get_method(name, n_tasks, **options).to(device)
    except (ValueError, TypeError) as error:
        raise UserError(f"method {name}: {error}") from error


def _check_type(method: type[Method], option: str, value: Any) -> None:
    """Raise :class:`UserError` for a plain option whose value is not of the type that its constructor states."""
    types: dict[str, tuple[Any, str]] = {
        "int": (int, "an integer"),
        "float": ((int, float), "a number"),
        "bool": (bool, "true or false"),
    }
    for cls in method.__mro__:
        stated = getattr(vars(cls).get("__init__"), "__annotations__", {}).get(option)
        if stated in types:
            kind, expected = types[stated]
            right = isinstance(value, kind) and (stated == "bool" or not isinstance(value, bool))
            require(right, f"method.{option}", value, expected)


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU; raises :class:`UserError` for one that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError(f"it is of type {device.type}")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"run.device {name!r} cannot be used ({reason}); use auto, cpu or cuda.") from error
    return device


def command(config_name: str) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a function of a configuration into a Hydra command with one-line errors.

    ``config_name`` is a file under ``configs/``. Overrides, multirun and ``--help`` are Hydra's. The function returns
    the run's record (or the records of several seeds), from which a search takes its objective.
    """

    def decorate(run: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(run)
        def main() -> None:
            script = getattr(sys.modules["__main__"], "__spec__", None)
            if run.__module__ == "__main__" and script is not None:
                # Workers are sent functions by name where they have one; those of a script they would have to be sent
                # whole, with classes that no longer are what they were.
                getattr(importlib.import_module(script.name), run.__name__)()
                return
            os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing a report of its own
            multirun_first(sys.argv)
            no_sweep_under_way()
            failed, jobs = [], []

            def fail(message: str) -> None:
                failed.append(message)
                tell(f"error: {message}", aside=True)

            launching = os.getpid()

            @functools.wraps(run)
            def job(config: DictConfig) -> float | None:
                jobs.append(config)
                try:  # within the job, so that a multirun goes on with the next one
                    records = run(config)
                    return objective(records, config.search.split) if is_search() else None
                except Diverged as error:
                    if is_search():  # which learns from it
                        tell(f"warning: {error}", aside=True)
                        return math.inf
                    fail(str(error))
                except UserError as error:
                    fail(str(error))
                except OmegaConfBaseException as error:  # a value that cannot be resolved when it is read
                    fail(one_line(error))
                if is_search() or os.getpid() != launching:  # a worker's list of failures is read by nobody
                    raise UserError(f"a run of this sweep has failed, {failed[-1]}")
                return None

            directory, _, name = config_name.rpartition("/")
            try:
                hydra.main(version_base="1.3", config_path=str(CONFIGS / directory), config_name=name)(job)()
            except UserError as error:  # of a worker, after the whole sweep
                if not failed:
                    fail(str(error))
                choose_after_all()
            except (HydraException, OmegaConfBaseException) as error:
                fail(one_line(error))
            except OSError as error:
                if jobs:
                    raise
                place = error.filename or "run.root"  # a sweep's own files, before its first run
                fail(f"cannot write {place}: {error.strerror}; free space or choose another run.root.")
            except ValueError as error:
                if jobs:
                    raise  # a defect of ours; before the first job it is Hydra's way to refuse an override
                fail(one_line(error))
            except KeyboardInterrupt:
                fail("interrupted outside the training loop; run again to go on from what is saved.")
                raise SystemExit(128 + signal.SIGINT) from None
            except (Exception, SystemExit) as error:
                message = None if jobs else launcher_error(error)  # what this process carries out is no launcher's
                if message is None:
                    raise
                fail(message)
                choose_after_all()
            finally:
                give_up_what_cannot_be_written()
            if failed:
                raise SystemExit(1)

        return main

    return decorate


OmegaConf.register_new_resolver("configs", lambda: str(CONFIGS), replace=True)
# Hydra's own glob(*) does not see groups that are found through hydra.searchpath.
OmegaConf.register_new_resolver("all_methods", lambda: ",".join(METHODS), replace=True)
OmegaConf.register_new_resolver("paper_methods", lambda: ",".join(PAPER_METHODS), replace=True)
