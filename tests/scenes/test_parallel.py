"""torchrun on rendered rooms: two processes share batches, batch normalisation and valid pixels as one has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from experiments.common.batch_norm import SharedBatchNorm2d, share_batch_norm

ROOT = Path(__file__).resolve().parents[2]
METHODS = ("nash_mtl", "imtl_g", "famo")
#: One step, as Adam magnifies the rounding of gradients that batch normalisation makes zero; of three frames, which
#: the processes cannot share equally.
SMALL = [
    *("preset=quick", "data.source=rooms", "data.height=32", "data.width=64", "data.train=3", "data.test=2"),
    *("model.network=mtan", "model.width=0.1", "trainer.epochs=1", "trainer.batch_size=4", "optimizer.lr=0.0001"),
    *("run.progress=false", "run.device=cpu", "run.threads=1", f"method={','.join(METHODS)}", "seed=0"),
]


def trained(folder: Path, *launcher: str) -> dict[str, dict[str, Any]]:
    """The records, by method, of a multirun that this launcher starts."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *launcher, "-m", "experiments.nyuv2.train", "-m", *SMALL, f"run.root={folder}"]
    done = subprocess.run(
        command, cwd=folder.parent, env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(path.read_text()) for path in folder.rglob("record.json")]
    return {record["method"]["name"]: record for record in found}


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    one = trained(tmp_path / "one")
    two = trained(tmp_path / "two", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert one.keys() == two.keys() == set(METHODS)
    for method, expected in one.items():
        (ours,), (theirs,) = two[method]["epochs"], expected["epochs"]
        assert two[method]["environment"]["processes"] == 2
        assert ours["train_losses"] == pytest.approx(theirs["train_losses"], rel=1e-5)
        # The deepest feature maps have two pixels, over which batch normalisation magnifies rounding.
        assert ours["weights"] == pytest.approx(theirs["weights"], rel=2e-3)
        depth = ours["test"]["AbsErr"], theirs["test"]["AbsErr"]
        assert depth[0] == pytest.approx(depth[1], rel=1e-3)


def test_shared_batch_norm_has_the_states_of_the_usual_one() -> None:
    usual, shared = (nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)) for _ in range(2))
    assert share_batch_norm(shared) == 1 and isinstance(shared[1], SharedBatchNorm2d)
    shared.load_state_dict(usual.state_dict())
    image = torch.randn(2, 3, 4, 5)
    assert torch.equal(shared.eval()(image), usual.eval()(image))
