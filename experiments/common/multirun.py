"""``-m`` (``--multirun``): where it may stand on the command line, and what has no effect without it."""

from __future__ import annotations

from omegaconf import DictConfig

from experiments.common.errors import UserError

_FLAGS = ("-m", "--multirun")
#: Overrides that only a multirun reads.
_FOR_MULTIRUN = ("hydra/launcher", "hydra/sweeper", "sweep")


def multirun_first(arguments: list[str]) -> None:
    """Move the flag before the settings, in place: between them Hydra's parser stops at it.

    ``arguments``: the command's, with its own name first.
    """
    arguments[1:] = sorted(arguments[1:], key=lambda argument: argument not in _FLAGS)


def check_single_run(config: DictConfig) -> None:
    """Raise :class:`UserError` where a run that is no sweep's was given what only a sweep has a use for."""
    for override in (*config.hydra.overrides.hydra, *config.hydra.overrides.task):
        if override.lstrip("+").partition("=")[0] in _FOR_MULTIRUN:
            raise UserError(f"{override} has no effect without -m; write -m before the settings.")
