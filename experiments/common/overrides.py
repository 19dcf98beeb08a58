"""Whether a run's configuration is what an override asked for, told from its record alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from experiments.common.settings import setting


def setting_at(config: Mapping[str, Any], key: str) -> Any:
    """A configuration's value as an override would give it: of a group its name; ``None`` where there is none."""
    value = setting(config, key.lstrip("+"))
    return _comparable(value.get("name") if isinstance(value, Mapping) else value)


def override_value(text: str) -> Any:
    """An override's value, to be compared with :func:`setting_at`."""
    try:
        return _comparable(float(text))
    except ValueError:
        return _comparable(yaml.safe_load(text))


def fits(config: Mapping[str, Any], overrides: Sequence[str]) -> bool:
    """Whether all overrides (``key=value``) hold in a configuration; a group that leaves no trace in it does."""
    pairs = [override.partition("=") for override in overrides]
    return all(setting_at(config, key) in (None, override_value(text)) for key, _, text in pairs)


def _comparable(value: Any) -> Any:
    """Numbers as such, lists and the like as text."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return float(value)
    return value if isinstance(value, str) else json.dumps(value)
