"""What a row of the tables of bad input is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

#: Arguments, what the line of error names, the remedy, and perhaps what makes the things that the row finds. In the
#: texts ``{folder}`` stands for the test's folder.
Row = tuple[list[str], str, str] | tuple[list[str], str, str, Callable[[Path], None]]
