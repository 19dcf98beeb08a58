"""Hydra's and OmegaConf's errors as one sentence: the setting, what it was given, and what it may be."""

from __future__ import annotations

import difflib
import re
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
    if "Config group override must be a string" in str(error):
        return "an override is neither setting=value nor group=name; write it such as method=nash_mtl."
    return _sentence(str(error))


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
