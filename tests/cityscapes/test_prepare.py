"""Preparing the store from each form of Cityscapes, and what is said of files at fault."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.cityscapes.camera import BASELINE, FULL, LEFT, SIZE, camera_at, inverse_depth
from experiments.cityscapes.classes import CLASSES, ID_TO_CLASS, seven_classes
from experiments.cityscapes.official import LARGEST, STEPS
from experiments.cityscapes.prepare import prepare
from experiments.cityscapes.scene_set import CITYSCAPES
from experiments.common.errors import UserError
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.data import load_frames
from experiments.scenes.frames import Frames
from experiments.scenes.store import open_store
from tests.cityscapes.forms import NEAREST, npy_folder, official_folder, street

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prepare_cityscapes.py"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return official_folder(tmp_path_factory.mktemp("official"))


@pytest.fixture(scope="module")
def store(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("store") / "cityscapes"
    prepare(official, root)
    return root


def check_content(frames: Frames, tolerance: float, scale: float = 1.0, nearest: float = 1.0) -> None:
    assert frames.normal is None and frames.size == SIZE
    assert frames.train.tolist() == [0, 1] and frames.test.tolist() == [2]
    for place in range(3):
        true = street(place)
        assert torch.equal(frames.label[place], torch.from_numpy(true["label"]))
        inverse = scale * torch.from_numpy(true["depth"]).float().clamp(max=nearest)
        error = (frames.depth[place].float() - inverse).abs()
        assert (error <= tolerance + 1e-3 * inverse).all()  # a step, and float16
        assert torch.equal(frames.depth[place] == 0, inverse == 0)
        colour = (frames.image[place].float() - torch.from_numpy(true["image"]).float()).abs()
        assert colour.mean() < 8  # JPEG of a noisy picture


def test_official_files(store: Path) -> None:
    frames = open_store(store, CITYSCAPES)
    check_content(frames, tolerance=2e-5, nearest=NEAREST / 256 / (BASELINE * LEFT.fx))
    assert frames.camera == camera_at(SIZE)
    assert frames.provenance["source"] == "Cityscapes' official files" and frames.provenance["synthetic"] is False
    assert not (store / "normal.zip").exists() and not (store / "unpacked" / "128x256" / "normal.npy").exists()


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_npy_folders_keep_their_scale(scale: float, tmp_path: Path) -> None:
    prepare(npy_folder(tmp_path / "source", scale), tmp_path / "out")
    check_content(open_store(tmp_path / "out", CITYSCAPES), tolerance=1e-5 * scale, scale=scale)


def test_smaller_size_and_batch(store: Path) -> None:
    frames = open_store(store, CITYSCAPES, (64, 128))
    assert frames.image.shape == (3, 3, 64, 128) and frames.depth.shape == (3, 1, 64, 128)
    batch = frames.to("cpu").subset([2, 0]).batch([1])
    assert batch.normal is None and batch.to("cpu").normal is None
    assert torch.equal(batch.label, frames.label[:1].long())


def test_found_by_its_variable(store: Path, monkeypatch: pytest.MonkeyPatch, capsys: object) -> None:
    monkeypatch.setenv("CITYSCAPES_ROOT", str(store))
    assert len(load_frames(CITYSCAPES)) == 3


def test_a_store_of_another_set_is_told_apart(store: Path) -> None:
    with pytest.raises(UserError, match=r"manifest.json is of a store of cityscapes, not of NYUv2; .*prepare_nyuv2"):
        open_store(store, NYUV2)


def test_categories_are_the_data_sets_own() -> None:
    expected = {"flat": [7, 8, 9, 10], "construction": [11, 12, 13, 14, 15, 16], "object": [17, 18, 19, 20]}
    expected |= {"nature": [21, 22], "sky": [23], "human": [24, 25], "vehicle": [*range(26, 34)]}
    assert {CLASSES[c]: np.flatnonzero(c == ID_TO_CLASS).tolist() for c in range(7)} == expected
    assert seven_classes(np.arange(7), "void").tolist() == [-1] * 7


def test_inverse_depth_of_a_disparity() -> None:
    disparity = np.array([0, 1, 257, 256 * 64 + 1, 65_535], np.uint16)
    found = inverse_depth(disparity)
    np.testing.assert_allclose(found[:4], np.array([0, 0, 1, 64]) / (BASELINE * LEFT.fx))
    assert 7 < 1 / found[3] < 8  # 64 pixels are seven and a half metres
    assert found[4] < LARGEST < 65_535 * STEPS.step  # whatever a picture holds fits into the store


def picture(folder: Path, part: str) -> Path:
    return next((folder / part / "val").rglob("*.png"))


@pytest.mark.parametrize(
    ("part", "content", "said"),
    [
        ("gtFine", np.full(FULL, 34, np.uint8), "has label ids 34..34, expected 0..33"),
        ("disparity", np.zeros(FULL, np.uint16), "has no valid depth at all"),
        (
            "leftImg8bit",
            np.zeros((64, 128, 3), np.uint8),
            r"has the shape \[64, 128, 3\], expected \[1024, 2048, 3\]",
        ),
        ("leftImg8bit", None, "cannot be decoded"),
        ("disparity", "missing", "is missing; unpack disparity_trainvaltest.zip there"),
    ],
)
def test_faults_of_official_files(part: str, content: object, said: str, official: Path, tmp_path: Path) -> None:
    path = picture(official, part)
    whole = path.read_bytes()
    try:
        if content is None:
            path.write_bytes(whole[:2000])
        elif isinstance(content, str):
            path.unlink()
        else:
            Image.fromarray(content).save(path, compress_level=1)
        with pytest.raises(UserError, match=said) as caught:
            prepare(official, tmp_path / "out")
        assert str(path) in str(caught.value)
        with pytest.raises(UserError, match=re.escape(CITYSCAPES.prepare)):  # what was begun is no store
            open_store(tmp_path / "out", CITYSCAPES)
    finally:
        path.write_bytes(whole)


NPY_FAULTS = {
    "truncated": ("image", None, r"0.npy is no whole npy file"),
    "shape": ("depth", np.zeros((10, 10, 1), np.float32), r"shape \[10, 10, 1\], expected \[128, 256, 1\]"),
    "labels": ("label_7", np.full(SIZE, 7.0), r"labels 7..7, expected -1..6"),
    "no depth": ("depth", np.zeros((*SIZE, 1)), r"no valid depth at all"),
    "negative": ("depth", np.full((*SIZE, 1), -1.0), r"depths -1..-1, expected 0.."),
    "not finite": ("depth", np.full((*SIZE, 1), np.nan), r"not finite"),
    "colours": ("image", np.full((*SIZE, 3), 200.0), r"colours outside 0..1"),
}


@pytest.mark.parametrize("fault", NPY_FAULTS)
def test_faults_of_npy_files(fault: str, tmp_path: Path) -> None:
    name, array, message = NPY_FAULTS[fault]
    source = npy_folder(tmp_path / "source")
    path = source / "val" / name / "0.npy"
    if array is None:
        path.write_bytes(path.read_bytes()[:1000])
    else:
        np.save(path, array)
    with pytest.raises(UserError, match=message) as caught:
        prepare(source, tmp_path / "out")
    assert str(path) in str(caught.value)


def test_unequal_folders(tmp_path: Path) -> None:
    source = npy_folder(tmp_path / "source")
    (source / "train" / "label_7" / "1.npy").unlink()
    with pytest.raises(UserError, match=r"unequal numbers of npy files \(image 2, label_7 1, depth 2\)"):
        prepare(source, tmp_path / "out")


def test_unknown_sources(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected the official files"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="holds no form of Cityscapes"):
        prepare(tmp_path, tmp_path / "out")
    for part in ("leftImg8bit", "gtFine", "disparity"):
        (tmp_path / part).mkdir()
    with pytest.raises(UserError, match=r"has no CITY/NAME_leftImg8bit.png; unpack leftImg8bit_trainvaltest.zip"):
        prepare(tmp_path, tmp_path / "out")


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--source", str(tmp_path / "nowhere"), "--out", str(tmp_path / "other")]
    failed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ") and "Traceback" not in failed.stderr
