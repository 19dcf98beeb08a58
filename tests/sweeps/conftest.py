"""The benchmark of docs/add_a_benchmark.md, written out as that page says: small enough for sweeps in the tests."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import experiments
from experiments.common import config

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "add_a_benchmark.md"


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's code and configuration with the files that the page gives."""
    folder = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__", "toy")
    for name in ("methods", "experiments", "configs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    files = re.findall(
        r"`((?:experiments|configs)/waves/\S+)`[^\n]*:\n\n```\w+\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    for path, content in files:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(content)
    (folder / "experiments" / "waves" / "__init__.py").write_text("")
    (entry,) = re.findall(
        r"to `BENCHMARKS` in `experiments/benchmarks.py`:\n\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    with open(folder / "experiments" / "benchmarks.py", "a") as file:
        file.write(entry)
    return folder


@pytest.fixture
def waves(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same in this process: ``experiments.waves`` can be imported and finds its configuration."""
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(project / "experiments")])
    monkeypatch.setattr(config, "CONFIGS", project / "configs")
    yield project
    for name in [name for name in sys.modules if name.startswith("experiments.waves")]:
        del sys.modules[name]
