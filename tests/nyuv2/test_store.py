"""The store: what goes in comes out, once and quickly, and damage is told."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.nyuv2.camera import CROPPED, SIZE
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.data import find_store, load_frames, test_batches, training_order
from experiments.scenes.frames import Frames, quantised_normals
from experiments.scenes.store import open_store, write_store
from tests.nyuv2.forms import TEST, TRAIN, description, packed, room

REAL = Path(os.environ.get("NYUV2_ROOT", "data/nyuv2"))


@pytest.fixture(scope="module")
def packed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "nyuv2"
    write_store(root, NYUV2, description(), (packed(number, True, False) for number in TRAIN + TEST))
    open_store(root, NYUV2)
    return root


@pytest.fixture
def root(packed_once: Path, tmp_path: Path) -> Path:
    """A copy to damage, with its unpacked arrays."""
    return Path(shutil.copytree(packed_once, tmp_path / "nyuv2"))


def test_frames_come_back(packed_once: Path) -> None:
    frames = open_store(packed_once, NYUV2)
    assert frames.identity.tolist() == [1, 2, 3]
    assert frames.identity[frames.train].tolist() == TRAIN and frames.identity[frames.test].tolist() == TEST
    for place, number in enumerate((1, 2, 3)):
        true = room(number)
        assert torch.equal(frames.label[place], torch.from_numpy(true["label"]))
        error = (frames.image[place].float() - torch.from_numpy(true["image"]).float()).abs()
        assert error.mean() < 6  # JPEG of a noisy picture
        depth = torch.from_numpy(true["depth"]).float()
        assert (frames.depth[place].float() - depth).abs().max() < 0.042  # a step of 39 mm, and float16
        assert (frames.depth[place].float() - depth).abs().mean() < 0.006
        assert torch.equal(frames.depth[place] == 0, depth == 0)
    assert frames.camera == CROPPED and frames.size == SIZE
    assert frames.provenance["synthetic"] is True and frames.provenance["normals"]["window"] == 13
    assert len(frames.provenance["sha256"]["image"]) == 64


def test_given_normals_and_fine_depth(tmp_path: Path) -> None:
    numbers = TRAIN + TEST
    write_store(tmp_path, NYUV2, description(False, True), (packed(number, False, True) for number in numbers))
    frames = open_store(tmp_path, NYUV2)
    for place, number in enumerate((1, 2, 3)):
        assert torch.equal(frames.normal[place], torch.from_numpy(room(number)["normal"]))
        assert (frames.depth[place].float() - torch.from_numpy(room(number)["depth"]).float()).abs().max() < 0.004
    assert frames.provenance["normals"] == {"given": "exact"}


def test_second_opening_unpacks_nothing(packed_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.scenes.store._unpacked", None)
    open_store(packed_once, NYUV2)
    open_store(packed_once, NYUV2, list(SIZE))  # as a configuration gives it


def test_smaller_size(packed_once: Path) -> None:
    whole, small = open_store(packed_once, NYUV2), open_store(packed_once, NYUV2, (72, 96))
    assert small.image.shape == (3, 3, 72, 96) and small.depth.shape == (3, 1, 72, 96)
    blocks = whole.image.float().unfold(2, 4, 4).unfold(3, 4, 4).mean((-1, -2))
    assert (small.image.float() - blocks).abs().max() <= 0.5
    assert torch.equal(small.label, whole.label[:, 2::4, 2::4]) and torch.equal(
        small.normal, whole.normal[..., 2::4, 2::4]
    )
    assert small.camera is not None and small.camera.fx == pytest.approx(CROPPED.fx / 4)
    with pytest.raises(UserError, match="500x400"):
        open_store(packed_once, NYUV2, (500, 400))


def test_batch(packed_once: Path) -> None:
    batch = open_store(packed_once, NYUV2).batch([2, 0])
    assert batch.image.shape == (2, 3, *SIZE) and batch.image.max() <= 1 and batch.label.dtype == torch.int64
    length = batch.normal.norm(dim=1)
    assert ((length == 0) | ((length - 1).abs() < 1e-5)).all()
    assert (quantised_normals(batch.normal) - open_store(packed_once, NYUV2).normal[[2, 0]]).abs().max() <= 1


def test_in_memory_and_subset(packed_once: Path) -> None:
    frames = open_store(packed_once, NYUV2)
    whole = frames.to("cpu")
    assert torch.equal(whole.image, frames.image) and whole.image.data_ptr() != frames.image.data_ptr()
    some = frames.subset([2, 1])
    assert some.identity.tolist() == [3, 2] and some.train.tolist() == [0] and some.test.tolist() == [1]
    with pytest.raises(IndexError):
        frames.subset([3])


def test_writing_into_the_maps_leaves_the_files(packed_once: Path) -> None:
    frames = open_store(packed_once, NYUV2)
    before = int(frames.image[0, 0, 0, 0])
    frames.image[0, 0, 0, 0] = 255 - before
    assert int(open_store(packed_once, NYUV2).image[0, 0, 0, 0]) == before


@pytest.mark.parametrize("name", ["image.zip", "depth.zip", "label.zip"])
def test_truncated_altered_missing(root: Path, name: str) -> None:
    path = root / name
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(UserError, match=rf"{name} has .* cut off; run: python scripts/prepare_nyuv2.py"):
        open_store(root, NYUV2)
    path.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    with pytest.raises(UserError, match=f"{name} has been altered"):
        open_store(root, NYUV2)
    path.unlink()
    with pytest.raises(UserError, match=f"{name} is missing"):
        open_store(root, NYUV2)


def test_missing_folder_and_half_written_store(root: Path) -> None:
    with pytest.raises(UserError, match="nowhere does not exist; run: python scripts/prepare_nyuv2"):
        open_store(root / "nowhere", NYUV2)
    (root / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        open_store(root, NYUV2)
    (root / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest.json is missing.*cut off"):
        open_store(root, NYUV2)


@pytest.mark.parametrize("field", ["train", "camera", "depth", "files"])
def test_manifest_with_a_wrong_field(root: Path, field: str) -> None:
    manifest = json.loads((root / "manifest.json").read_text())
    (root / "manifest.json").write_text(json.dumps({**manifest, field: {"what": "ever"}}))
    with pytest.raises(UserError, match=r"manifest.json is damaged"):
        open_store(root, NYUV2)


def test_writing_that_breaks_off_is_no_store(root: Path) -> None:
    def frames():
        yield packed(1, True, False)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(root, NYUV2, description(), frames())
    with pytest.raises(UserError, match=r"manifest.json is missing"):
        open_store(root, NYUV2)
    assert not list(root.glob(".*.tmp"))


def test_frames_must_be_those_of_the_split(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not those of the split"):
        write_store(tmp_path, NYUV2, description(), [packed(1, True, False)])


@pytest.mark.parametrize("harm", ["truncate", "remove", "contents"])
def test_damaged_unpacked_arrays_are_made_again(root: Path, harm: str) -> None:
    folder = root / "unpacked" / "288x384"
    before = open_store(root, NYUV2).normal.clone()
    if harm == "truncate":
        (folder / "normal.npy").write_bytes((folder / "normal.npy").read_bytes()[:-7])
    elif harm == "remove":
        (folder / "depth.npy").unlink()
    else:
        (folder / "contents.json").write_text('{"key"')
    assert torch.equal(open_store(root, NYUV2).normal, before)


def test_batches_of_an_epoch(packed_once: Path) -> None:
    frames = open_store(packed_once, NYUV2, (72, 96))
    first, again, other = (torch.cat(training_order(frames, 1, seed=0, epoch=epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert [len(batch) for batch in training_order(frames, 2, 0, 0)] == [2]
    assert torch.equal(next(test_batches(frames, 2)).label, frames.label[frames.test].long())


def test_finding_the_data(
    packed_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NYUV2_ROOT", raising=False)
    frames = load_frames(NYUV2, size=(36, 48), train=2, test=1)
    assert capsys.readouterr().out.startswith("No NYUv2 data found")
    assert frames.provenance["synthetic"] is True
    with pytest.raises(UserError, match="no NYUv2 store"):
        load_frames(NYUV2, source="store")
    with pytest.raises(UserError, match="does not exist"):
        load_frames(NYUV2, root="typo")
    monkeypatch.setenv("NYUV2_ROOT", str(packed_once))
    assert load_frames(NYUV2, size=(36, 48), train=1).train.tolist() == [0]
    assert str(packed_once) in capsys.readouterr().out
    load_frames(NYUV2, source="rooms", size=(36, 48), train=2, test=1)
    assert "RENDERED rooms (synthetic)" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"data.train is 9"):
        load_frames(NYUV2, size=(36, 48), train=9)
    with pytest.raises(UserError, match="unknown data source"):
        load_frames(NYUV2, source="cloud")
    monkeypatch.delenv("NYUV2_ROOT")
    (tmp_path / "data" / "nyuv2").mkdir(parents=True)
    (tmp_path / "data" / "nyuv2" / "image.zip").touch()  # half a store is an error, no reason to train on rooms
    assert find_store(NYUV2) == Path("data/nyuv2")


@pytest.mark.skipif(not (REAL / "manifest.json").is_file(), reason=f"no prepared NYUv2 at {REAL}")
def test_real_store() -> None:
    frames: Frames = open_store(REAL, NYUV2)
    assert (len(frames), len(frames.train), len(frames.test)) == (1449, 795, 654)
    assert frames.provenance["synthetic"] is False
    assert sum((REAL / f"{name}.zip").stat().st_size for name in frames.provenance["sha256"]) < 64 * 2**20 or (
        "given" in frames.provenance["normals"]
    )
    some = frames.subset(range(0, 1449, 150))
    assert some.label.min() >= -1 and some.label.max() <= 12
    assert some.depth.min() > 0 and some.depth.max() < 10.1
    assert (some.normal != 0).any(1).float().mean() > 0.95
    floor = torch.nn.functional.normalize(some.normal.float(), dim=1)[:, 1][some.label == 4]
    assert floor.median() > 0.8  # floors look up
    assert np.isfinite(some.depth.numpy()).all()
