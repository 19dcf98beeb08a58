"""Let the C library keep freed memory: fresh pages for every large tensor cost a CPU step up to a third."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_HEAP_BLOCK = 32 << 20  # glibc's own limit: blocks above it are always mapped afresh


def keep_freed_memory() -> bool:
    """Make glibc serve blocks of up to 32 MiB from its heap and keep 1 GiB; ``False`` where that is impossible."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK) and mallopt(_M_TRIM_THRESHOLD, 1 << 30))
