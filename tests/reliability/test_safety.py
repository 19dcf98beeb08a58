"""Nothing from outside is executed, no archive leaves its folder, no secret is written down."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.common.checkpoint import CURRENT, load_checkpoint
from experiments.common.errors import UserError
from experiments.common.files import sha256
from experiments.nyuv2.download import download
from experiments.nyuv2.prepare import detected
from experiments.nyuv2.scene_set import NYUV2
from experiments.qm9.train import main
from experiments.scenes.store import open_store, write_store
from reliability.trainers import TRAINERS
from tests.nyuv2.forms import TEST, TRAIN, description, npy_folder, packed

ROOT = Path(__file__).resolve().parents[2]
#: What users run; tests may do worse.
SOURCES = sorted(
    path
    for folder in ("methods", "experiments", "benchmarks", "reliability", "scripts")
    for path in (ROOT / folder).rglob("*.py")
)


UNSAFE_MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib")


#: Meta-World takes a task as a pickle; this one is made, handed over and never read from outside.
WRITES_PICKLES = {"experiments/mt10/scene.py": ["pickle"]}


def unsafe_calls(source: str) -> list[str]:
    """The calls and imports in a source that would execute what a file or a setting says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)]
            found += [name for name in names if name.split(".")[0] in UNSAFE_MODULES]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        last = name.rpartition(".")[2]
        if (
            name in ("eval", "exec", "compile", "__import__")
            or name.startswith("os.system")
            or last in ("popen", "getoutput", "getstatusoutput")
            or name.endswith(("yaml.load", "yaml.unsafe_load", "yaml.full_load"))
            or (name == "torch.load" and given.get("weights_only") != "True")
            or (last == "load" and given.get("allow_pickle", "False") != "False")
            or given.get("shell", "False") != "False"
            or (last in ("extractall", "unpack_archive") and given.get("filter") != "'data'")
            or last in ("read_pickle", "load_from_checkpoint")
        ):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_source_executes_what_it_reads(path: Path) -> None:
    source, name = path.read_text(), str(path.relative_to(ROOT))
    assert unsafe_calls(source) == WRITES_PICKLES.get(name, [])
    assert "pickle.load" not in source


@pytest.mark.parametrize(
    "source",
    [
        *("import pickle", "from pickle import load", "import joblib", "eval(text)", "exec(text)", "os.system(text)"),
        *("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)"),
        *("yaml.load(text)", "subprocess.run(text, shell=True)", "tarfile.open(path).extractall()", "os.popen(text)"),
        *("pandas.read_pickle(path)", "shutil.unpack_archive(path)"),
    ],
)
def test_the_search_finds(source: str) -> None:
    assert unsafe_calls(f"import os\n{source}\n")


def test_scripts_quote_what_they_are_given() -> None:
    """No shell script hands a setting to eval or to a further shell."""
    for path in sorted((ROOT / "scripts").glob("*.sh")):
        lines = [line.split("#")[0] for line in path.read_text().splitlines()]
        assert not [line for line in lines if "eval " in line or "bash -c" in line or "sh -c" in line], path


# --- what comes from outside ---


class Dangerous:
    """Unpickled, it makes a file: the place of it is the class's."""

    place: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


@pytest.fixture
def dangerous(tmp_path: Path) -> Dangerous:
    Dangerous.place = tmp_path / "executed"
    return Dangerous()


def test_a_checkpoint_is_not_executed(dangerous: Dangerous, tmp_path: Path, capsys: Any) -> None:
    torch.save({"model": dangerous}, tmp_path / CURRENT)
    assert load_checkpoint(tmp_path) is None
    assert not dangerous.place.exists() and "starting anew" in capsys.readouterr().err


def test_an_array_with_objects_is_not_executed(dangerous: Dangerous, tmp_path: Path) -> None:
    source = npy_folder(tmp_path / "source")
    np.save(source / "train" / "image" / "0.npy", np.array([dangerous], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="no whole npy file"):
        list(detected(source)[1])
    assert not dangerous.place.exists()


def test_an_archive_does_not_leave_its_folder(tmp_path: Path) -> None:
    """A store whose archive has members with paths of their own choice, and checksums that fit it."""
    root = tmp_path / "deep" / "store"
    write_store(root, NYUV2, description(), [packed(number, coarse=True, normals=False) for number in TRAIN + TEST])
    archive = root / "image.zip"
    with zipfile.ZipFile(archive, "a") as file:
        for name in ("../../escaped.jpg", str(tmp_path / "absolute.jpg"), "unpacked/../../../up.jpg"):
            file.writestr(name, b"not a picture")
    manifest = json.loads((root / "manifest.json").read_text())
    manifest["files"]["image"] = {"bytes": archive.stat().st_size, "sha256": sha256(archive)}
    (root / "manifest.json").write_text(json.dumps(manifest))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert len(open_store(root, NYUV2, (16, 16)).image) == len(TRAIN + TEST)
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert written and all(root / "unpacked" in path.parents for path in written)


@pytest.mark.parametrize("whole", [True, False])
def test_a_download_is_checked(whole: bool, tmp_path: Path) -> None:
    """Against the checksum that is known of it, before it gets its name; what is wrong is not kept."""
    content = b"a small file"
    (tmp_path / "there").write_bytes(content if whole else content[:-1] + b"E")
    url, path = (tmp_path / "there").as_uri(), tmp_path / "here"
    checksum = "md5:" + hashlib.md5(content).hexdigest()
    if whole:
        download(url, path, checksum=checksum)
        assert path.read_bytes() == content
    else:
        with pytest.raises(UserError, match=r"is not the file that was expected .*; it has been deleted"):
            download(url, path, checksum=checksum)
        assert not path.exists() and not list(tmp_path.glob("here*"))


# --- secrets ---


def test_keys_in_the_environment_are_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A run with a W&B key and other secrets around it: not in its record, checkpoint, log, nor in what W&B keeps."""
    pytest.importorskip("wandb")
    secrets = {"WANDB_API_KEY": "f00dcafe" * 5, "HF_TOKEN": "hf_" + "S3cr3t" * 5, "AWS_SECRET_KEY": "NotToLeak" * 3}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    trainer = TRAINERS["qm9"]
    given = [*trainer.tiny, *trainer.data(tmp_path), "method=ls", "trainer.epochs=1", f"run.root={tmp_path / 'runs'}"]
    given = [argument for argument in given if not argument.startswith("logger")]
    monkeypatch.setattr(sys, "argv", ["train", *given, "logger=wandb", "logger.mode=offline"])
    main()
    said = capfd.readouterr()
    kept = {path: path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file()}
    assert any(path.suffix == ".wandb" for path in kept) and any(path.name == "record.json" for path in kept)
    for secret in secrets.values():
        assert secret not in said.out + said.err
        assert not [path for path, content in kept.items() if secret.encode() in content]
