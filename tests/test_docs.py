"""The documentation's Python runs, and its commands name things that exist."""

from __future__ import annotations

import re
import runpy
import sys
import types
import warnings
from pathlib import Path

import pytest
import torch

from methods import METHODS

ROOT = Path(__file__).resolve().parents[1]


def code_blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), flags=re.DOTALL)


def test_the_worked_example_of_a_new_method_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    definition, registration, _ = code_blocks(ROOT / "docs" / "add_a_method.md", "python")
    file = types.ModuleType("methods.normalised")
    exec(definition, vars(file))
    monkeypatch.setitem(sys.modules, "methods.normalised", file)
    namespace: dict = {"METHODS": dict(METHODS)}
    exec(registration, namespace)
    method = namespace["METHODS"]["normalised"](n_tasks=2)
    options = code_blocks(ROOT / "docs" / "add_a_method.md", "yaml")[0]
    assert [line.split(":")[0] for line in options.split()[::2]] == [
        "name",
        "weight_heads",
        "max_norm",
        "task_gradients",
        "gradients",
    ]
    point = torch.tensor([1.0, 2.0], requires_grad=True)
    losses = [3.0 * point[0] ** 2, 0.1 * point[1] ** 2]  # gradients (6, 0) and (0, 0.4)
    method.backward(losses, shared_parameters=[point])
    torch.testing.assert_close(point.grad, torch.ones(2))


def test_the_worked_example_of_a_state_resumes() -> None:
    namespace: dict = {}
    exec(code_blocks(ROOT / "docs" / "add_a_method.md", "python")[2], namespace)
    whole, resumed = (namespace["NoisyAverage"](2, seed=seed) for seed in (0, 1))
    losses = torch.ones(2)
    whole.objective(losses)
    resumed.load_state_dict(whole.state_dict())
    assert torch.equal(whole.objective(losses)[1], resumed.objective(losses)[1])


def test_a_plain_loop_uses_the_methods() -> None:
    namespace: dict = {}
    exec(code_blocks(ROOT / "docs" / "use_methods.md", "python")[0], namespace)
    assert namespace["step"].diagnostics["status"] == "solved"
    first, _, last = (loss.item() for loss in namespace["losses"])
    assert max(first, last) < 0.2, "from about 1 and 8, beside a loss 10,000 times as large"
    assert set(namespace["checkpoint"]["method"]) == {"step", "alpha"}


def test_lightning_uses_the_methods() -> None:
    pytest.importorskip("lightning")
    namespace: dict = {}
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on workers and logging
        exec(code_blocks(ROOT / "docs" / "use_methods.md", "python")[1], namespace)
    trainer, module = namespace["trainer"], namespace["module"]
    assert trainer.global_step == 40 and module.method.state_dict()["step"] == 40
    assert all(trainer.callback_metrics[f"loss/{k}"] < 0.5 for k in range(3))
    assert all(trainer.callback_metrics[f"weights/{k}"] > 0 for k in range(3))
    checkpoint: dict = {}
    module.on_save_checkpoint(checkpoint)
    restored = type(module)()
    restored.on_load_checkpoint(checkpoint)
    assert restored.method.state_dict()["step"] == 40


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
            path = Path(*module.split(".")).with_suffix(".py")
            written_there = f"`{path}`:" in text  # the document gives the file itself
            assert written_there or (ROOT / path).is_file(), f"{document.name} names {module}"


@pytest.mark.filterwarnings("ignore:Error parsing type annotation")  # names that only a type checker imports
def test_api_pages_cover_every_public_name(tmp_path: Path) -> None:
    pytest.importorskip("pdoc")
    import methods

    runpy.run_path(str(ROOT / "scripts" / "make_docs.py"))["make"](tmp_path)
    page = (tmp_path / "methods.html").read_text()
    for name in methods.__all__:
        assert f'id="{name}"' in page, f"methods.{name} has no entry"
        assert name == "METHODS" or getattr(methods, name).__doc__, f"methods.{name} has no docstring"
    folders = (ROOT / "methods", ROOT / "experiments" / "common", ROOT / "experiments" / "reporting")
    for module in (path for folder in folders for path in folder.glob("*.py")):
        relative = module.relative_to(ROOT).with_suffix(".html")
        assert module.stem == "__init__" or (tmp_path / relative).is_file(), f"{relative} is missing"
    assert (tmp_path / "index.html").is_file() and (tmp_path / "search.js").is_file()


def test_tests_and_files_that_the_documentation_names_exist() -> None:
    for document in sorted((ROOT / "docs").glob("*.md")):
        text = document.read_text()
        for test in re.findall(r"`(tests/[\w/]+\.py)`", text):
            assert (ROOT / test).is_file(), f"{document.name} names {test}"
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
