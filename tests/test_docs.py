"""The documentation's Python runs, and its commands name things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from methods import METHODS

ROOT = Path(__file__).resolve().parents[1]


def code_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


def test_the_worked_example_of_a_new_method_trains() -> None:
    definition, registration = code_blocks(ROOT / "docs" / "add_a_method.md", "python")
    namespace: dict = {"METHODS": dict(METHODS)}
    exec(definition + registration, namespace)
    method = namespace["METHODS"]["normalised"](n_tasks=2)
    point = torch.tensor([1.0, 2.0], requires_grad=True)
    losses = [3.0 * point[0] ** 2, 0.1 * point[1] ** 2]  # gradients (6, 0) and (0, 0.4)
    method.backward(losses, shared_parameters=[point])
    torch.testing.assert_close(point.grad, torch.ones(2))


def test_the_readme_uses_the_library_as_it_is() -> None:
    blocks = code_blocks(ROOT / "README.md", "python")
    assert blocks
    for block in blocks:
        exec(block, {})


def test_commands_in_the_documentation_name_existing_modules_and_scripts() -> None:
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = document.read_text()
        for script in re.findall(r"bash (scripts/\S+\.sh)", text):
            assert (ROOT / script).is_file(), f"{document.name} names {script}"
        for module in re.findall(r"python -m ((?:experiments|benchmarks|reliability)[\w.]*\w)", text):
            path = ROOT / Path(*module.split("."))
            assert path.with_suffix(".py").is_file(), f"{document.name} names {module}"


def test_tests_and_files_that_the_documentation_names_exist() -> None:
    for document in sorted((ROOT / "docs").glob("*.md")):
        text = document.read_text()
        for test in re.findall(r"`(tests/[\w/]+\.py)`", text):
            assert (ROOT / test).is_file(), f"{document.name} names {test}"
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
