"""The status of runs, on made-up records, and of a sweep's plan."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from experiments.common.claims import _machine, claim
from experiments.common.files import write_json
from experiments.reporting.run_states import run_states
from experiments.status import main
from tests.common.made_up import record, write

DEAD = 2**22 + 1  # above the largest process number


def with_epochs(number: int, **changes: Any) -> dict[str, Any]:
    """A record of a run under way, with entries as large as real ones."""
    entry = record(None, **{"status": "running", **changes})
    entry["epochs"] = [{"epoch": n, "test": {f"metric {i}": i / 7 for i in range(40)}} for n in range(number)]
    return entry | {"wall_seconds": 30.0 * number}


def states(root: Path) -> dict[str, tuple[str, int, int, float | None]]:
    return {run.name: (run.state, run.done, run.total, run.left) for run in run_states(root)}


def test_every_state_is_told_apart(tmp_path: Path) -> None:
    write(tmp_path, record({"mu": 1.0}, seed=1), "done")
    write(tmp_path, with_epochs(4, seed=2), "broken")
    write(tmp_path, with_epochs(0, seed=3, status="failed") | {"error": "the loss is not finite"}, "diverged")
    write(tmp_path, with_epochs(0, seed=6), "damaged").write_text('{"format": 1')
    for number, changes in enumerate(({"benchmark": None}, {"benchmark": ["qm9"]}, {"status": ["running"]})):
        name = f"odd{number}"
        write_json(write(tmp_path, with_epochs(0, seed=5), name), with_epochs(0, seed=5) | changes)
    for seed, (host, process) in enumerate([(None, DEAD), ("another", 1), ("another", 1)], start=7):
        folder = write(tmp_path, with_epochs(5, seed=seed), f"seed{seed}").parent
        own = {"host": host} if host else {}
        write_json(folder / ".claim-1", {**_machine(), **own, "process": process, "locked": True})
    os.utime(folder / ".claim-1", (time.time() - 3600,) * 2)
    running = write(tmp_path, with_epochs(5, seed=4), "alive").parent
    with claim(running):
        found = states(tmp_path)
    by_seed = {name.partition("seed")[2][:1]: state for name, state in found.items() if "seed" in name}
    assert by_seed == {
        "1": ("finished", 0, 10, None),
        "2": ("interrupted", 4, 10, 180.0),
        "3": ("failed", 0, 10, None),
        "4": ("running", 5, 10, 150.0),
        "7": ("interrupted", 5, 10, 150.0),
        "8": ("running", 5, 10, 150.0),  # of another host, with a sign of life a moment ago
        "9": ("interrupted", 5, 10, 150.0),
    }
    assert [found[name][0] for name in ("damaged", "odd0", "odd1", "odd2")] == ["damaged"] * 4
    assert states(tmp_path)["ls-seed4-" + record(None, seed=4)["name"].rpartition("-")[2]][0] == "interrupted"


def test_what_a_plan_holds_beyond_the_records_waits(tmp_path: Path) -> None:
    write(tmp_path, with_epochs(1, seed=0, optimizer={"lr": 0.001}))
    runs = [["method=ls", f"seed={seed}", "optimizer.lr=1e-3", "+preset=quick"] for seed in (0, 1, 2)]
    write_json(tmp_path / "qm9" / "sweeps" / "a.json", {"benchmark": "qm9", "runs": runs})
    write_json(tmp_path / "qm9" / "sweeps" / "b.json", {"benchmark": "qm9", "runs": runs[:2]})
    (tmp_path / "qm9" / "sweeps" / "c.json").write_text("{")
    waiting = [run.name for run in run_states(tmp_path) if run.state == "waiting"]
    assert waiting == [" ".join(run) for run in runs[1:]]


def test_the_command_prints_counts_progress_and_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, record({"mu": 1.0}, seed=1))
    write(tmp_path, with_epochs(0, seed=3, status="failed") | {"error": "the loss is not finite"})
    for seed in (4, 5, 6):
        write(tmp_path, with_epochs(4, seed=seed))
    main([f"root={tmp_path}", "limit=2"])
    out = capsys.readouterr().out
    assert out.splitlines()[1].split() == ["qm9", "1", "0", "3", "1", "0", "0"]
    assert "4/10 (40%), after 0:02:00, 0:03:00 left" in out and ": the loss is not finite" in out
    assert "and 1 more (limit=0 shows all)" in out
    main([f"root={tmp_path}", "format=json", "benchmark=qm9"])
    assert len([json.loads(line) for line in capsys.readouterr().out.splitlines()]) == 5
    with pytest.raises(SystemExit):
        main([f"root={tmp_path / 'nowhere'}"])
    assert "nowhere is not a folder; give root=FOLDER" in capsys.readouterr().err
