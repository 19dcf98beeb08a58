"""``-m`` (``--multirun``): where it may stand on the command line, and what has no effect without it."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from experiments.common.errors import UserError

_FLAGS = ("-m", "--multirun")
#: Overrides that only a multirun reads.
_FOR_MULTIRUN = ("hydra/launcher", "hydra/sweeper", "sweep")


def multirun_first(arguments: list[str]) -> None:
    """Move the flag before the settings, in place: between them Hydra's parser stops at it.

    ``arguments``: the command's, with its own name first.
    """
    arguments[1:] = sorted(arguments[1:], key=lambda argument: argument not in _FLAGS)


def overrides_of(config: DictConfig, part: str = "task") -> list[str]:
    """The command line's overrides of Hydra itself (``hydra``) or of the configuration (``task``).

    One that refers to what is not there stays as it was written: the job says what is wrong with it.
    """
    overrides = config.hydra.overrides[part]
    try:
        return list(overrides)
    except InterpolationResolutionError:
        written = OmegaConf.to_container(overrides, resolve=False)
        assert isinstance(written, list)
        return written


def check_single_run(config: DictConfig) -> None:
    """Raise :class:`UserError` where a run that is no sweep's was given what only a sweep has a use for."""
    for override in (*overrides_of(config, "hydra"), *overrides_of(config, "task")):
        if override.lstrip("+").partition("=")[0] in _FOR_MULTIRUN:
            raise UserError(f"{override} has no effect without -m; write -m before the settings.")
