"""The network that a finished run leaves: whole, safe to read, and with a remedy where it is not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from experiments.common.checkpoint import NETWORK, load_network, save_network
from experiments.common.errors import UserError


def network(seed: int, outputs: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, outputs), nn.BatchNorm1d(outputs))


def test_a_network_comes_back_with_its_buffers(tmp_path: Path) -> None:
    saved, loaded = network(0), network(1)
    saved(torch.randn(8, 4))  # moves the running statistics
    save_network(tmp_path, saved)
    load_network(tmp_path, loaded)
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert [path.name for path in tmp_path.iterdir()] == [NETWORK]


def test_a_missing_network_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"network.pt is missing: .*run.keep_network=false"):
        load_network(tmp_path, network(0))


@pytest.mark.parametrize("harm", ["cut off", "another network", "no archive"])
def test_an_unusable_network_is_one_line(tmp_path: Path, harm: str) -> None:
    save_network(tmp_path, network(0, outputs=5 if harm == "another network" else 3))
    path = tmp_path / NETWORK
    if harm == "cut off":
        path.write_bytes(path.read_bytes()[:-200])
    elif harm == "no archive":
        path.write_text("weights")
    with pytest.raises(UserError, match=r"network.pt cannot be used .*delete its folder and run again") as error:
        load_network(tmp_path, network(0))
    assert "\n" not in str(error.value)


def test_nothing_but_tensors_is_unpickled(tmp_path: Path) -> None:
    torch.save({"weight": Path("/")}, tmp_path / NETWORK)
    with pytest.raises(UserError, match=r"network.pt cannot be used"):
        load_network(tmp_path, network(0))


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*run.keep_network=false"):
        save_network(tmp_path / "file", network(0))


def test_a_full_disk_under_a_network_is_named_as_what_it_is(tmp_path: Path) -> None:
    """By a limit on the size of files, in a process of its own; torch's error would be "unexpected pos"."""
    script = f"""
import resource
from pathlib import Path
from torch import nn
from experiments.common.checkpoint import save_network
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
save_network(Path({str(tmp_path)!r}), nn.Linear(300, 300))
"""
    root = Path(__file__).resolve().parents[2]
    said = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True).stderr
    assert f"cannot write {tmp_path / NETWORK}: File too large; free space, choose" in said
    assert list(tmp_path.iterdir()) == []
