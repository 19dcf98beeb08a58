"""API pages of ``methods/``, of what the benchmarks share and of the report: ``python scripts/make_docs.py``.

Writes ``docs/api/index.html`` and what it links to, or another folder's, given as the only argument.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pdoc

ROOT = Path(__file__).resolve().parents[1]


def modules() -> list[str]:
    """Packages with all of their modules, and those of ``methods``, whose ``__all__`` names none."""
    names = sorted(path.stem for path in (ROOT / "methods").glob("*.py") if path.stem != "__init__")
    return ["methods", *(f"methods.{name}" for name in names), "experiments.common", "experiments.reporting"]


def make(folder: Path) -> None:
    """Write the pages into ``folder``."""
    pdoc.render.configure(docformat="restructuredtext", footer_text="Nash-MTL suite")
    pdoc.pdoc(*modules(), output_directory=folder)


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "api"
    sys.path.insert(0, str(ROOT))
    make(out)
    print(f"The pages begin at {out / 'index.html'}.")
