"""Preparing the store from each form a user may have, the checks on the way, and the download."""

from __future__ import annotations

import http.server
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from experiments.common.errors import UserError
from experiments.common.files import sha256
from experiments.nyuv2.camera import SIZE
from experiments.nyuv2.download import download
from experiments.nyuv2.prepare import main, prepare
from experiments.nyuv2.scene_set import NYUV2
from experiments.scenes.frames import Frames
from experiments.scenes.store import open_store
from tests.nyuv2.forms import TEST, TRAIN, normals_folder, npy_folder, official_file, picture_folder, room

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "prepare_nyuv2.py"


def check_content(frames: Frames, numbers: tuple[int, ...], depth_error: float, labels: float) -> None:
    """The store holds the rooms ``numbers``, but for what resizing to 640x480 and back costs at edges."""
    for place, number in enumerate(numbers):
        true = room(number)
        same = (frames.label[place] == torch.from_numpy(true["label"])).float().mean()
        assert same >= labels
        difference = (frames.depth[place].float() - torch.from_numpy(true["depth"]).float()).abs()
        assert difference.median() < depth_error
        colour = (frames.image[place].float() - torch.from_numpy(true["image"]).float()).abs()
        assert colour.mean() < 8


def test_picture_folder(tmp_path: Path) -> None:
    prepare(picture_folder(tmp_path / "source"), tmp_path / "out")
    frames = open_store(tmp_path / "out", NYUV2)
    check_content(frames, (1, 2, 3), depth_error=0.02, labels=0.98)
    assert frames.identity[frames.train].tolist() == TRAIN and frames.identity[frames.test].tolist() == TEST
    known = (frames.normal[0] != 0).any(0)
    exact = torch.nn.functional.normalize(torch.from_numpy(room(1)["normal"]).float(), dim=0)
    cosine = (torch.nn.functional.normalize(frames.normal[0].float(), dim=0) * exact).sum(0)[known]
    assert cosine.median() > 0.99


def test_npy_folders(tmp_path: Path) -> None:
    prepare(npy_folder(tmp_path / "source"), tmp_path / "out")
    frames = open_store(tmp_path / "out", NYUV2)
    check_content(frames, (*TRAIN, *TEST), depth_error=0.001, labels=1.0)
    assert frames.train.tolist() == [0, 1] and frames.test.tolist() == [2]
    assert torch.equal(frames.normal[2], torch.from_numpy(room(TEST[0])["normal"]))
    assert frames.provenance["normals"] == {"given": "MTAN's"} and frames.camera is None


def test_official_file(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    source = official_file(tmp_path / "source")
    prepare(source.parent, tmp_path / "out")  # found in its folder
    frames = open_store(tmp_path / "out", NYUV2)
    check_content(frames, (1, 2, 3), depth_error=0.002, labels=0.98)
    assert frames.identity[frames.test].tolist() == TEST
    assert frames.provenance["notes"]["source_sha256"] == sha256(source)


@pytest.mark.parametrize("zero_based", [True, False])
def test_official_file_with_normals_gt(tmp_path: Path, zero_based: bool) -> None:
    pytest.importorskip("h5py")
    source = official_file(tmp_path / "source")
    prepare(source, tmp_path / "out", normals=normals_folder(tmp_path / "normals_gt", zero_based))
    frames = open_store(tmp_path / "out", NYUV2)
    exact = torch.from_numpy(np.stack([room(number)["normal"] for number in (1, 2, 3)]))
    assert ((frames.normal - exact).abs() <= 2).float().mean() > 0.97
    assert frames.provenance["normals"] == {"given": "normals_gt"}


def test_official_file_damaged(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    source = official_file(tmp_path / "source")
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=rf"{source.name} is no whole HDF5 file .*download it again"):
        prepare(source, tmp_path / "out")
    source.write_bytes(content)
    with h5py.File(source, "a") as file:
        file["labels"][0, 100, 100] = 2000
    with pytest.raises(UserError, match=r"frame 1 has a label 2000, expected 0..894"):
        prepare(source, tmp_path / "out")
    with h5py.File(source, "a") as file:
        del file["depths"]
        file["depths"] = np.zeros((3, 480, 640), np.float32)
    with pytest.raises(UserError, match=r"has arrays .*\(3, 480, 640\)"):
        prepare(source, tmp_path / "out")
    source.write_bytes(content)
    for name, key in (("classMapping40.mat", "mapClass"), ("splits.mat", "trainNdxs")):
        meta = (source.parent / name).read_bytes()
        savemat(source.parent / name, {"something": np.zeros(3)})
        with pytest.raises(UserError, match=rf"{name} has no {key}.*nyuv2-meta-data"):
            prepare(source, tmp_path / "out")
        (source.parent / name).write_bytes(meta)
    (source.parent / "splits.mat").unlink()
    source.write_bytes(content)
    with pytest.raises(UserError, match=r"splits.mat must lie beside .*nyuv2-meta-data"):
        prepare(source, tmp_path / "out")


def test_official_file_needs_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "nyu_depth_v2_labeled.mat").touch()
    with pytest.raises(UserError, match="pip install h5py"):
        prepare(tmp_path, tmp_path / "out")


NPY_FAULTS = {
    "truncated": ("image", None, r"0.npy is no whole npy file"),
    "shape": ("depth", np.zeros((10, 10, 1), np.float32), r"shape \[10, 10, 1\], expected \[288, 384, 1\]"),
    "labels": ("label", np.full(SIZE, 13.0), r"labels 13..13, expected -1..12"),
    "fractions": ("label", np.full(SIZE, 0.5), r"no whole numbers"),
    "no depth": ("depth", np.zeros((*SIZE, 1)), r"no valid depth at all"),
    "far": ("depth", np.full((*SIZE, 1), 2500.0), r"expected 0..20; check its unit"),
    "not finite": ("depth", np.full((*SIZE, 1), np.nan), r"not finite"),
    "normals": ("normal", np.full((*SIZE, 3), 200.0), r"normals outside -1..1"),
    "colours": ("image", np.full((*SIZE, 3), 200.0), r"colours outside 0..1"),
}


@pytest.mark.parametrize("fault", NPY_FAULTS)
def test_npy_faults(tmp_path: Path, fault: str) -> None:
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
    with pytest.raises(UserError, match=re.escape(NYUV2.prepare)):  # what was begun is no store
        open_store(tmp_path / "out", NYUV2)


def test_npy_missing_file(tmp_path: Path) -> None:
    source = npy_folder(tmp_path / "source")
    (source / "train" / "depth" / "1.npy").unlink()
    with pytest.raises(UserError, match=r"unequal numbers of npy files \(image 2, label 2, depth 1, normal 2\)"):
        prepare(source, tmp_path / "out")


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("label40", 41, r"0002.png has labels 0..41, expected 0..40|has labels 41..41"),
        ("depth8", 0, r"0002.png has no valid depth at all"),
        ("rgb", None, r"0002.jpg cannot be decoded"),
        ("depth8", "small", r"0002.png has the shape \[48, 64\], expected \[480, 640\]"),
    ],
)
def test_picture_faults(tmp_path: Path, part: str, value: int | str | None, message: str) -> None:
    source = picture_folder(tmp_path / "source")
    path = next((source / part).glob("0002.*"))
    if value is None:
        path.write_bytes(path.read_bytes()[:2000])
    else:
        size = (48, 64) if value == "small" else (480, 640)
        Image.fromarray(np.full(size, 9 if value == "small" else value, np.uint8)).save(path)
    with pytest.raises(UserError, match=message):
        prepare(source, tmp_path / "out")


def test_split_faults(tmp_path: Path) -> None:
    source = picture_folder(tmp_path / "source")
    (source / "test.txt").write_text("0002\n0003\n")
    with pytest.raises(UserError, match=r"0003 is in train.txt and in test.txt"):
        prepare(source, tmp_path / "out")
    (source / "test.txt").write_text("0007\n")
    with pytest.raises(UserError, match=r"0007.jpg is missing"):
        prepare(source, tmp_path / "out")
    (source / "test.txt").write_text("seven\n")
    with pytest.raises(UserError, match="one official frame number a line"):
        prepare(source, tmp_path / "out")


def test_unknown_source(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not exist; expected nyu_depth_v2_labeled.mat"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(UserError, match="holds no form of NYUv2"):
        prepare(tmp_path, tmp_path / "out")


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    source = picture_folder(tmp_path / "source")
    monkeypatch.setattr(sys, "argv", ["prepare_nyuv2", "--source", str(source), "--out", str(tmp_path / "out")])
    main()
    assert "2 training and 1 test frames" in capsys.readouterr().out
    command = [sys.executable, str(SCRIPT), "--source", str(tmp_path / "nowhere"), "--out", str(tmp_path / "other")]
    failed = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ") and "Traceback" not in failed.stderr


class Server(http.server.BaseHTTPRequestHandler):
    """Serves ``content``; breaks off after ``limit`` bytes of each answer; understands ranges where told to."""

    content, limit, ranges, tag = b"", 10**9, True, '"one"'
    asked: list[str | None] = []  # noqa: RUF012 (set anew by the fixture)

    def do_GET(self) -> None:
        header = self.headers.get("Range")
        self.asked.append(header)
        start = int(header[6:-1]) if header and self.ranges else 0
        if self.headers.get("If-Range", self.tag) != self.tag:
            start = 0
        if self.path != "/file":
            self.send_error(404)
            return
        if start >= len(self.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.content)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("ETag", self.tag)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.limit])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[type[Server], str]]:
    content = np.random.default_rng(0).bytes(300_000)
    handler = type("Handler", (Server,), {"content": content, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield handler, f"http://127.0.0.1:{running.server_port}/file"
        running.shutdown()
        thread.join()


def test_download(server: tuple[type[Server], str], tmp_path: Path) -> None:
    handler, url = server
    path = tmp_path / "deep" / "file.mat"
    assert download(url, path) == sha256(path)
    assert path.read_bytes() == handler.content
    assert Path(f"{path}.sha256").read_text() == f"{sha256(path)}  file.mat\n"
    download(url, path)  # there already
    assert handler.asked == [None]
    assert [file.name for file in path.parent.iterdir() if file.name.startswith("file.mat.part")] == []
    path.write_bytes(b"other")
    with pytest.raises(UserError, match=r"not the file that file.mat.sha256 records"):
        download(url, path)


def test_download_goes_on_where_it_broke_off(server: tuple[type[Server], str], tmp_path: Path) -> None:
    handler, url = server
    handler.limit = 100_000
    path = tmp_path / "file.mat"
    with pytest.raises(UserError, match="run the command again"):
        download(url, path, attempts=2)
    assert Path(f"{path}.part").stat().st_size == 200_000 and not path.exists()
    download(url, path)
    assert path.read_bytes() == handler.content
    assert handler.asked == [None, "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize("change", ["no ranges", "another file", "all there", "too long"])
def test_download_resumes_only_the_same_file(server: tuple[type[Server], str], tmp_path: Path, change: str) -> None:
    handler, url = server
    path, part = tmp_path / "file.mat", tmp_path / "file.mat.part"
    part.write_bytes(handler.content[:50_000])
    if change == "no ranges":
        handler.ranges = False
    elif change == "another file":
        Path(f"{part}.version").write_text('"old"')
        part.write_bytes(b"x" * 50_000)
    elif change == "all there":
        part.write_bytes(handler.content)
    else:
        part.write_bytes(handler.content + b"more")
    download(url, path)
    assert path.read_bytes() == handler.content


def test_download_of_what_is_not_there(server: tuple[type[Server], str], tmp_path: Path) -> None:
    handler, url = server
    with pytest.raises(UserError, match=r"cannot download .*404.*pass its path as --source"):
        download(f"{url}s", tmp_path / "file.mat")
    assert len(handler.asked) == 1  # no second try: it will not come
