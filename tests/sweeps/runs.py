"""Runs and sweeps of the page's benchmark, in this process and in others."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from experiments.common.records import find_records

QUIET = ("run.progress=false", "run.device=cpu", "run.threads=1")


def sweep(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The command in this process; returns its exit status."""
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    monkeypatch.setattr(sys, "argv", ["train", *arguments, *QUIET])
    try:
        importlib.import_module("experiments.waves.train").main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def start(project: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process, and a process group, of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(project)}
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.waves.train", *arguments, *QUIET],
        cwd=project,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def records(root: Path) -> dict[tuple[str, int, float], dict[str, Any]]:
    """The records below ``root`` by method, seed and learning rate."""
    found = [record for _, record in find_records(root, "waves")]
    return {(r["method"]["name"], r["seed"], r["config"]["optimizer"]["lr"]): r for r in found}
