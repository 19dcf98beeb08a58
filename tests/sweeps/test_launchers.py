"""The same sweep under every launcher: each run once, killed ones go on, failures in the exit status."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.sweeps.runs import records, start, sweep

LAUNCHERS = {
    "local": ("joblib", "hydra.launcher.n_jobs=2"),
    "submitit_local": ("submitit", "hydra.launcher.timeout_min=5"),
    "ray_local": ("ray", "hydra.launcher.ray.init.num_cpus=1"),
}


def numbers(root: Path) -> dict[tuple[str, int, float], list[dict[str, float]]]:
    return {key: [epoch["test"] for epoch in record["epochs"]] for key, record in records(root).items()}


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status of a sweep and all that it printed."""
    out, err = process.communicate(timeout=150)
    return process.returncode, out + err


def kill_group(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_makes_the_runs_of_a_plain_sweep(
    project: Path, waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    package, option = LAUNCHERS[launcher]
    pytest.importorskip(package)
    # The same run twice: whoever comes second leaves it to the first.
    arguments = ["-m", "method=ls,ls", "seed=0", "optimizer.lr=0.01"]
    launched = [f"hydra/launcher={launcher}", option, f"run.root={tmp_path / 'launched'}"]
    status, output = finish(start(project, *arguments, *launched))
    assert status == 0, output
    assert sweep(monkeypatch, *arguments, f"run.root={tmp_path / 'plain'}") == 0
    assert numbers(tmp_path / "launched") == numbers(tmp_path / "plain")
    assert all(record["status"] == "finished" for record in records(tmp_path / "launched").values())


def test_a_killed_sweep_goes_on_and_a_failed_run_shows_in_its_exit_status(
    project: Path, waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("joblib")
    arguments = ["-m", "hydra/launcher=local", "hydra.launcher.n_jobs=2", "method=ls,uw", "run.checkpoint_every=1"]
    arguments += ["optimizer.lr=1e36,1e-2", "trainer.epochs=60", f"run.root={tmp_path / 'a'}"]
    process = start(project, *arguments)
    while len(list(tmp_path.rglob("checkpoint.previous.pt"))) < 1:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    kill_group(process)
    before = records(tmp_path / "a")
    assert any(record["status"] == "running" for record in before.values()), "killed at work"

    status, output = finish(start(project, *arguments))
    assert status == 1 and "a run of this sweep has failed" in output and "Traceback" not in output
    found = records(tmp_path / "a")
    assert {key: record["status"] for key, record in found.items()} == {
        (method, 0, lr): "failed" if lr > 1 else "finished" for method in ("ls", "uw") for lr in (1e36, 1e-2)
    }
    assert (tmp_path / "a" / "search.json").exists(), "the choice among those that are left"
    plain = ["-m", "method=ls,uw", "optimizer.lr=1e-2", "trainer.epochs=60", f"run.root={tmp_path / 'b'}"]
    assert sweep(monkeypatch, *plain) == 0
    assert {key: value for key, value in numbers(tmp_path / "a").items() if key[2] < 1} == numbers(tmp_path / "b")
