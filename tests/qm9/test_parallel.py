"""torchrun: two processes that share each batch train to the numbers of one, and leave one record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.qm9.runs import records, run, small

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("nash_mtl", "imtl_g", "graddrop", "uw", "dwa", "pcgrad", "famo", "fairgrad")
#: The last batch of an epoch has one molecule, which only one of the processes can have. With fewer molecules the
#: gradients of eleven targets are nearly dependent, and rounding decides Nash-MTL's weights.
SIZES = ["model.dim=32", "model.edge_hidden=16", "data.train=49", "trainer.batch_size=24", "trainer.epochs=2"]


def torchrun(arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start two processes of the trainer."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(log, "ab") as output:
        return subprocess.Popen(
            [*command, "-m", "experiments.qm9.train", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=output,
        )


def assert_same_numbers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for ours, theirs in zip(found["epochs"], expected["epochs"], strict=True):
        for part in ("train_losses", "validation", "test", "weights"):
            assert (ours[part] or {}) == pytest.approx(theirs[part] or {}, rel=1e-5), part
        assert (ours["steps"], ours["solver_statuses"]) == (theirs["steps"], theirs["solver_statuses"])
    assert found["results"]["metrics"] == pytest.approx(expected["results"]["metrics"], rel=1e-5)


def test_two_processes_that_are_interrupted_and_go_on_train_as_one(qm9_root: Path, tmp_path: Path) -> None:
    runs = tmp_path / "two"
    together = ["-m", *small(qm9_root, runs, *SIZES, "optimizer.lr=0.0003", f"method={','.join(METHODS)}", "seed=0")]
    process = torchrun([*together, "run.checkpoint_every=1"], tmp_path / "log")
    try:
        while not list(runs.rglob("checkpoint.pt")):
            assert process.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.01)
        *_, last = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(last), signal.SIGTERM)  # to one of the two; both save and leave
        assert process.wait(60) != 0
    finally:
        process.kill()
    broken = [record for record in records(runs) if record["status"] == "interrupted"]
    assert len(broken) == 1 and (runs / broken[0]["name"] / "checkpoint.pt").exists()

    assert torchrun(together, tmp_path / "log").wait(120) == 0, (tmp_path / "log").read_text()
    found = {record["method"]["name"]: record for record in records(runs)}
    assert found.keys() == set(METHODS)
    for method, record in found.items():
        assert record["status"] == "finished" and record["environment"]["processes"] == 2
        alone = run(small(qm9_root, tmp_path / "one", *SIZES, "optimizer.lr=0.0003", f"method={method}"))
        assert alone["name"] == record["name"]
        assert_same_numbers(record, alone)
