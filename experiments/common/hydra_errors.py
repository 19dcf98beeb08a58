"""Errors of Hydra, its launchers and OmegaConf as one sentence: the setting, what it was given, what it may be."""

from __future__ import annotations

import difflib
import re
import signal
from collections.abc import Iterable

from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)

_TYPES = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false", "String": "a text"}
#: Lines of their messages that only developers need, or advice that would not help here (+key=value is refused).
_NOISE = ("full_key", "object_type", "reference_type", "To append to", "Or add a second +", "See ")
_SIGNALLED: dict[object, str] = {128 + number: number.name for number in signal.Signals}  # exit statuses


def one_line(error: BaseException) -> str:
    """The error in one line that names the setting and the remedy."""
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    if isinstance(error, OverrideParseException):
        return f"{error.override!r} cannot be read as key=value; put quotes around a value with special characters."
    if match := re.search(r"Ambiguous value for argument '([^']+)'", str(error)):
        return f"{match[1]} has several values; add -m to run one after the other."
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, OmegaConfBaseException) and cause.full_key:
        setting = str(cause.full_key)
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            keys = cause.parent_node.keys() if hasattr(cause.parent_node, "keys") else ()
            return unknown_setting(setting, [str(key) for key in keys if key != "hydra"])
        if isinstance(cause, MissingMandatoryValue):
            return f"{setting} has no value; set it with {setting}=VALUE, or choose a preset that does."
        if match := re.search(r"could not be converted to (\w+)", str(cause)):
            expected = _TYPES.get(match[1], match[1])
            return f"{setting} is {cause.value!r}; expected {expected}."
        if "is not Optional" in str(cause):
            return f"{setting} is null; it needs a value."
        if "Invalid type assigned" in str(cause):
            keys = cause.child_node.keys() if hasattr(cause.child_node, "keys") else ()
            within = " or ".join(f"{setting}.{key}" for key in keys)
            return f"{setting} is a group of settings, not a value; set {within}."
        if "not a valid bool" in str(cause):
            return f"{setting} is {cause.value!r}; expected true or false."
        if "is not a ListConfig" in str(cause):
            return f"{setting} is not a list; write it such as {setting}=[a,b]."
        if isinstance(cause, InterpolationResolutionError):
            return f"{setting} cannot be resolved: {_sentence(str(cause))}"
        return f"{setting}: {_sentence(str(cause))}"
    if "n_jobs == 0" in str(error):  # joblib's
        return "hydra.launcher.n_jobs is 0; expected -1 (a process for each core) or the number of processes."
    if "Config group override must be a string" in str(error):
        return "an override is neither setting=value nor group=name; write it such as method=nash_mtl."
    return _sentence(str(error))


def launcher_error(error: BaseException) -> str | None:
    """The sentence for a launcher that found no cluster or lost a job; ``None`` for any other error.

    Its packages are told by their names, since none of them needs to be there.
    """
    package, kind, message = type(error).__module__.partition(".")[0], type(error).__name__, str(error)
    if kind == "RuntimeError" and "srun" in message:
        return (
            "hydra/launcher=slurm found no SLURM on this machine (there is no srun); start the sweep on a host of "
            "the cluster, or choose another launcher, such as hydra/launcher=local."
        )
    if kind == "FailedSubmissionError":
        return f"SLURM did not take the jobs ({_sentence(message)[:-1]}); change the settings of hydra.launcher."
    if package in ("joblib", "submitit", "ray") and kind not in ("FailedJobError", "RayTaskError"):  # our own defects
        codes = re.search(r"exit codes of the workers are \{(.+?)\}", message)
        reason = codes[1] if codes else " ".join(message.split("\nError stream")[0].split("\nNo error")[0].split())
    elif isinstance(error, SystemExit) and error.code in _SIGNALLED:  # a worker's, which joblib hands on
        reason = _SIGNALLED[error.code]
    else:
        return None
    return (
        f"a job of this sweep ended without a result (killed, out of memory or cancelled): {reason.rstrip('.')}; "
        "repeat the command, what is finished is skipped."
    )


def unknown_setting(setting: str, known: Iterable[str]) -> str:
    """The sentence for a setting that does not exist, with its near matches or all that there are."""
    known = list(known)
    prefix, _, key = setting.rpartition(".")
    prefix = f"{prefix}." if prefix else ""
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {prefix}{close[0]}? " if close else ""
    there = f"there are {', '.join(prefix + name for name in known)}" if known else "there is no such group"
    return f"the setting {setting} is unknown; {hint}{there}.".replace("? there", "? There")


def _unknown_choice(error: MissingConfigException) -> str:
    """``method=lss``: the group has no such file."""
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    options = re.findall(r"^\t(?!provider)(\S+)$", str(error), flags=re.MULTILINE)
    if not group or not options:
        return f"there is no configuration {error.missing_cfg_file}."
    close = difflib.get_close_matches(name, options, n=1)
    hint = f" did you mean {close[0]}? Choose" if close else " choose"
    return f"{group} {name} is unknown;{hint} one of {', '.join(options)}."


def _sentence(message: str) -> str:
    """A message without its noise, on one line."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and not line.strip().startswith(_NOISE)]
    return " ".join(" ".join(lines).replace("\t", " ").split()).rstrip(".") + "."
