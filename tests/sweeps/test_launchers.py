"""The same sweep under every launcher: each run once, killed ones go on, failures in the exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from experiments.common.hydra_errors import launcher_error
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


def worker_of(root: Path, process: subprocess.Popen[str], lr: float) -> int:
    """The process that carries out the run of this learning rate, once the run has saved itself."""
    while True:
        assert process.poll() is None, process.communicate()
        for checkpoint in root.rglob("checkpoint.previous.pt"):
            folder = checkpoint.parent
            if json.loads((folder / "record.json").read_text())["config"]["optimizer"]["lr"] == lr:
                (claim,) = folder.glob(".claim-*")
                worker = json.loads(claim.read_text())["process"]
                assert isinstance(worker, int) and worker != process.pid
                return worker
        time.sleep(0.01)


def test_a_job_that_is_killed_ends_the_sweep_with_one_line_and_its_choice(project: Path, tmp_path: Path) -> None:
    pytest.importorskip("joblib")
    arguments = ["-m", "method=ls", "seed=0", "optimizer.lr=0.1,0.2", "trainer.epochs=100000"]
    arguments += ["run.checkpoint_every=1", "hydra/launcher=local", "hydra.launcher.n_jobs=2", f"run.root={tmp_path}"]
    process = start(project, *arguments)
    worker_of(tmp_path, process, 0.2)  # both have begun
    os.kill(worker_of(tmp_path, process, 0.1), signal.SIGKILL)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 1, err
    (error,) = (line for line in err.splitlines() if line.startswith("error: "))
    assert error == (
        "error: a job of this sweep ended without a result (killed, out of memory or cancelled): SIGKILL(-9); "
        "repeat the command, what is finished is skipped."
    )
    assert "Traceback" not in err and f"The choice is in {tmp_path / 'search.json'}" in out
    (choice,) = json.loads((tmp_path / "search.json").read_text())["choices"]
    assert [len(candidate["unfinished"]) for candidate in choice["candidates"]] == [1, 1]


def test_slurm_where_there_is_none_is_named_with_the_remedy(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", "")
    assert sweep(monkeypatch, "-m", "method=ls", "hydra/launcher=slurm", f"run.root={tmp_path}") == 1
    assert capsys.readouterr().err == (
        "error: hydra/launcher=slurm found no SLURM on this machine (there is no srun); start the sweep on a host of "
        "the cluster, or choose another launcher, such as hydra/launcher=local.\n"
    )


def test_no_processes_are_a_setting_to_be_mended(
    waves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("joblib")
    arguments = ["-m", "method=ls", "hydra/launcher=local", "hydra.launcher.n_jobs=0", f"run.root={tmp_path}"]
    assert sweep(monkeypatch, *arguments) == 1
    assert capsys.readouterr().err == (
        "error: hydra.launcher.n_jobs is 0; expected -1 (a process for each core) or the number of processes.\n"
    )


LOST = "a job of this sweep ended without a result (killed, out of memory or cancelled): "
AGAIN = "; repeat the command, what is finished is skipped."


def test_errors_of_launchers_become_one_line_and_defects_of_ours_stay_what_they_are() -> None:
    assert launcher_error(SystemExit(128 + signal.SIGTERM)) == f"{LOST}SIGTERM{AGAIN}", "a worker's, under joblib"
    assert [launcher_error(SystemExit(code)) for code in (0, 1, 2, None, 255)] == [None] * 5
    assert [launcher_error(kind("what happened")) for kind in (RuntimeError, ValueError, KeyError)] == [None] * 3
    errors = pytest.importorskip("submitit.core.utils")
    message = "Job 7 (task: 0) with path p.pkl\nhas not produced any output (state: INTERRUPTED)"
    for stream in (
        "Error stream produced:\n-----\nTraceback",
        "No error stream produced. Look at stdout: p\n---\nlog",
    ):
        said = launcher_error(errors.UncompletedJobError(f"{message}\n{stream}"))
        assert said == f"{LOST}{message.replace(chr(10), ' ')}{AGAIN}"
    said = launcher_error(errors.FailedSubmissionError("sbatch: error: invalid\npartition specified: x"))
    assert said == (
        "SLURM did not take the jobs (sbatch: error: invalid partition specified: x); change the settings of "
        "hydra.launcher."
    )
    assert launcher_error(errors.FailedJobError("Job failed with trace: ...")) is None
