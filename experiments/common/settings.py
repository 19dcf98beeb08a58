"""One setting of a nested configuration by its dotted name, as overrides write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def setting(config: Mapping[str, Any], path: str) -> Any:
    """``config["trainer"]["epochs"]`` for ``trainer.epochs``, or ``None`` where there is no such key."""
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def without_setting(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A copy of a nested configuration that lacks one setting."""
    first, _, rest = path.partition(".")
    return {
        key: without_setting(value, rest) if key == first and rest and isinstance(value, Mapping) else value
        for key, value in config.items()
        if rest or key != first
    }
