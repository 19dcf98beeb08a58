"""Dependencies point downward only: what each part of the code may import, and what training never needs."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("methods", "experiments", "benchmarks", "reliability", "scripts", "tests")
COMMON, REPORTING, SCENES = "experiments.common", "experiments.reporting", "experiments.scenes"

#: What a part may import beside itself; a benchmark that is not here may import no other benchmark either.
MAY_IMPORT: Mapping[str, tuple[str, ...]] = {
    "methods": (),
    COMMON: ("methods",),
    REPORTING: ("methods", COMMON),
    SCENES: ("methods", COMMON),
    "experiments.cityscapes": ("methods", COMMON, REPORTING, SCENES),
    "experiments.nyuv2": ("methods", COMMON, REPORTING, SCENES),
    "experiments.paper": ("methods", COMMON, REPORTING, "experiments.benchmarks"),
}
A_BENCHMARK = ("methods", COMMON, REPORTING)
PARTS = sorted({"methods", *(f"experiments.{path.parent.name}" for path in ROOT.glob("experiments/*/__init__.py"))})
TRAINERS = sorted(f"experiments.{path.parent.name}.train" for path in ROOT.glob("experiments/*/train.py"))


def path_of(module: str) -> Path | None:
    """A module's file in the repository; ``None`` where there is none."""
    place = ROOT.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imports(source: str) -> set[str]:
    """The repository's own modules that a source imports, anywhere in it; relative imports are not in use here."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if path_of(name) else str(node.module) for name in below}
    return {name for name in found if name.split(".")[0] in OURS}


def within(module: str, parts: tuple[str, ...]) -> bool:
    return any(module == part or module.startswith(f"{part}.") for part in parts)


def not_allowed(part: str, source: str) -> set[str]:
    """What a source of ``part`` imports and may not."""
    return {module for module in imports(source) if not within(module, (part, *MAY_IMPORT.get(part, A_BENCHMARK)))}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_imports_nothing_above_it(part: str) -> None:
    sources = sorted(ROOT.joinpath(*part.split(".")).rglob("*.py"))
    assert sources
    for path in sources:
        assert not_allowed(part, path.read_text()) == set(), path.relative_to(ROOT)


@pytest.mark.parametrize(
    ("part", "source"),
    [
        ("methods", "from experiments.common.errors import UserError"),
        (COMMON, "def late():\n    from experiments.reporting import tables"),
        (COMMON, "import experiments.qm9.train"),
        (REPORTING, "from experiments.mt10.metrics import METRICS"),
        ("experiments.qm9", "from experiments import nyuv2"),
        ("experiments.nyuv2", "from experiments.cityscapes.metrics import METRICS"),
        (SCENES, "from experiments.nyuv2 import metrics"),
    ],
)
def test_what_points_upward_is_found(part: str, source: str) -> None:
    assert not_allowed(part, source)


@pytest.mark.parametrize("trainer", TRAINERS)
def test_training_needs_nothing_of_the_report(trainer: str) -> None:
    reached, waiting = set(), [trainer]
    while waiting:
        module = waiting.pop()
        path = path_of(module)
        if module not in reached and path is not None:
            reached.add(module)
            waiting += imports(path.read_text())
    assert f"{COMMON}.engine" in reached or f"{COMMON}.records" in reached
    assert [module for module in sorted(reached) if within(module, (REPORTING, "experiments.paper"))] == []
