"""The one place that imports MuJoCo and Meta-World, whose settings must be in the environment before.

Without a display MuJoCo draws through EGL, or else through OSMesa on the CPU. Which of them is decided when MuJoCo is
imported, and an import with a library that is missing fails: so look first. A user's own ``MUJOCO_GL`` is kept.
"""

from __future__ import annotations

import ctypes.util
import functools
import importlib.metadata
import os
import sys
from types import ModuleType
from typing import Any, NamedTuple

from experiments.common.errors import UserError

_VERSIONS = {"metaworld": "3.1.1", "mujoco": "3.3.0"}
_REMEDY = "install them with: pip install " + " ".join(f"{name}=={version}" for name, version in _VERSIONS.items())


class Simulator(NamedTuple):
    """The imported ``mujoco`` and ``metaworld``, and Meta-World's class of each task (named without its version)."""

    mujoco: ModuleType
    metaworld: ModuleType
    classes: dict[str, Any]


@functools.cache
def load_simulator() -> Simulator:
    """Import both packages; raises :class:`UserError` where one is missing, broken or of another version.

    Other versions have other models, rewards or state layouts, and with them other numbers.
    """
    if sys.platform.startswith("linux"):
        os.environ.setdefault("MUJOCO_GL", _renderer())
    try:
        import metaworld
        import mujoco
        from metaworld.env_dict import MT10_V3
    except Exception as error:  # a missing system library is an OSError or AttributeError, not an ImportError
        raise UserError(f"MT10 cannot load MuJoCo and Meta-World ({error!r}); {_REMEDY}.") from error
    for name, version in _VERSIONS.items():
        found = importlib.metadata.version(name)
        if found != version:
            raise UserError(f"MT10 is written for {name} {version}, found {found}; {_REMEDY}.")
    return Simulator(mujoco, metaworld, {name.removesuffix("-v3"): cls for name, cls in MT10_V3.items()})


def _renderer() -> str:
    for name, library in (("egl", "EGL"), ("osmesa", "OSMesa")):
        if ctypes.util.find_library(library):
            return name
    return "disable"
