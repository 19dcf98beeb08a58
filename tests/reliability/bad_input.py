"""The table of bad input: what is given to which command, and what its one line of error must say.

A row is (arguments, what is named, the remedy). ``{folder}`` stands for the test's folder, ``{work}`` for the one
with the trainers' data; what a row finds in the folder is made by the function that it names as its fourth entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.common.files import write_json
from tests.common.made_up import all_metrics, record, write
from tests.nyuv2.forms import npy_folder

Row = tuple[list[str], str, str] | tuple[list[str], str, str, Callable[[Path], None]]

#: Of every trainer: the configuration that they share.
EVERY_TRAINER: list[Row] = [
    # choices
    (["method=lss"], "method lss is unknown; did you mean ls?", "one of cagrad, dwa, graddrop"),
    (["method=nonsense"], "method nonsense is unknown", "choose one of cagrad"),
    (["method=null"], "an override is neither", "such as method=nash_mtl"),
    (["~method"], "method is None", "expected one of stl, ls, si"),
    (["method=ls", "method.name=lss"], "method is 'lss'", "expected one of stl, ls, si"),
    (["preset=huge"], "preset huge is unknown", "choose one of paper, quick"),
    (["~preset"], "preset has no value", "set it with preset=VALUE"),
    (["logger=mlflow"], "logger mlflow is unknown", "wandb"),
    (["logger.name=mlflow"], "logger.name is 'mlflow'", "wandb"),
    (["logger=wandb", "logger.mode=sometimes"], "logger.mode is 'sometimes'", "online, offline or null"),
    (["logger.timeout_seconds=-1"], "logger.timeout_seconds is -1.0", "expected a positive number"),
    (["report.reference=theirs"], "report.reference is 'theirs'", "expected published or ours"),
    (["report.reference=ours"], "report.reference=ours needs finished STL runs", "run method=stl first"),
    # keys
    (["nope=1"], "the setting nope is unknown", "there are benchmark, preset, seed"),
    (["sed=1"], "the setting sed is unknown; did you mean seed?", "There are benchmark"),
    (["+sed=1"], "the setting sed is unknown; did you mean seed?", "There are benchmark"),
    (["+a/b=c"], "the setting a/b is unknown", "there are benchmark"),
    (["trainer.epoch=3"], "trainer.epoch is unknown; did you mean trainer.epochs?", "trainer.batch_size"),
    (["++trainer.epoch=3"], "trainer.epoch is unknown; did you mean trainer.epochs?", "trainer.batch_size"),
    (["report.foo=1"], "the setting report.foo is unknown", "there are report.reference"),
    (["run.out=here"], "the setting run.out is unknown", "run.root"),
    (["method.max_nrm=1"], "method.max_nrm is unknown; did you mean method.max_norm?", "method.solver"),
    (["+method.max_nrm=1"], "method 'nash_mtl' has no option max_nrm", "its options are update_weights_every"),
    (["trainers.epochs=3"], "the setting trainers is unknown; did you mean trainer?", "There are"),
    (["~seedd"], "Could not delete from config. 'seedd' does not exist.", ""),
    (["+seed=3"], "An item is already at 'seed'", "remove + prefix: 'seed=3'"),
    (["trainer.epochs"], "'trainer.epochs' cannot be read as key=value", "quotes"),
    (["=3"], "an override is neither", "such as method=nash_mtl"),
    (["data.root=a=b c"], "'data.root=a=b c' cannot be read as key=value", "quotes"),
    # types
    (["trainer.epochs=many"], "trainer.epochs is 'many'", "expected an integer"),
    (["trainer.epochs=1.5"], "trainer.epochs is 1.5", "expected an integer"),
    (["trainer.epochs.x=1"], "trainer.epochs", "expected an integer"),
    (["trainer.epochs=1,2"], "Ambiguous value for argument 'trainer.epochs=1,2'", "--multirun"),
    (["seed=[1,2]"], "seed is [1, 2]", "expected an integer"),
    (["seed=null"], "seed is null", "it needs a value"),
    (["optimizer.lr=fast"], "optimizer.lr is 'fast'", "expected a number"),
    (["run.progress=perhaps"], "run.progress is 'perhaps'", "expected true or false"),
    (["run.threads=two"], "run.threads is 'two'", "expected an integer"),
    (["data=null"], "data is null", "it needs a value"),
    (["report=ours"], "report is a group of settings, not a value", "set report.reference"),
    (["data.root=${oc.env:THERE_IS_NO_SUCH}"], "data.root cannot be resolved", "'THERE_IS_NO_SUCH' not found"),
    (["method.max_norm=big"], "method.max_norm is 'big'", "expected a number"),
    (["method.update_weights_every=1.5"], "method.update_weights_every is 1.5", "expected an integer"),
    (["method.weight_heads=7"], "method.weight_heads is 7", "expected true or false"),
    (["method=rlw", "method.seed=soon"], "method.seed is 'soon'", "expected an integer"),
    # values
    (["seed=-1"], "seed is -1", "0 or a positive number"),
    (["seed=99999999999999999999"], "seed is 99999999999999999999", "below 2^63"),
    (["trainer.epochs=0"], "trainer.epochs is 0", "at least 1"),
    (["trainer.batch_size=-5"], "trainer.batch_size is -5", "at least 1"),
    (["optimizer.lr=0"], "optimizer.lr is 0.0", "a positive number"),
    (["optimizer.lr=nan"], "optimizer.lr is nan", "a positive number"),
    (["optimizer.method_lr=inf"], "optimizer.method_lr is inf", "a positive number"),
    (["run.checkpoint_every=-1"], "run.checkpoint_every is -1", "0 (off) or more"),
    (["run.threads=0"], "run.threads is 0", "at least 1"),
    (["run.device=gpu"], "run.device 'gpu' cannot be used", "use auto, cpu or cuda"),
    (["run.device=meta"], "run.device 'meta' cannot be used", "use auto, cpu or cuda"),
    (["run.device=cuda:99"], "run.device 'cuda:99' cannot be used", "use auto, cpu or cuda"),
    (["method.solver=guess"], "method nash_mtl: solver 'guess' is unknown", "newton, ccp"),
    (["method.update_weights_every=0"], "update_weights_every (0)", "at least 1"),
    (["method.max_norm=-1"], "max_norm is -1", "0 for no clipping"),
    # places
    (["run.root=/dev/null/runs"], "cannot write in /dev/null/runs", "choose another run.root"),
    (["method=dwa", "method.window=0"], "window (0) at least 1", "must be positive"),
    (["method=dwa", "method.temperature=-1"], "temperature (-1", "must be positive"),
    (["method=cagrad", "method.c=1"], "c is 1", "0 <= c < 1"),
    (["method=graddrop", "method.leak=2"], "leak is 2", "one share between 0 and 1"),
    (
        ["method=imtl_g", "method.gradients=features"],
        "gradients is 'features'",
        "choose one of representation, shared",
    ),
    (["method=mgda", "method.task_gradients=vmap"], "task_gradients is 'vmap'", "auto, loop, batched"),
    (["+method.main_task=1"], "method 'nash_mtl' has no option main_task", "its options are"),
    (["method=ls", "method.task_weights=[1,-1,x]"], "method ls", "task_weights is"),
    (["method=ls", "method.task_weights=3"], "method ls", "task_weights"),
    (
        ["run.root={folder}/file/runs"],
        "cannot write in {folder}/file/runs",
        "choose another run.root",
        lambda folder: (folder / "file").touch(),
    ),
    (["run.root="], "run.root is ''", "a folder"),
]

QM9: list[Row] = [
    (["data.source=qm8"], "data.source is 'qm8'", "expected qm9pack or pyg"),
    (["data.statistics=test"], "data.statistics is 'test'", "expected train or all"),
    (["model.network=transformer"], "model.network is 'transformer'", "expected dense or reference"),
    (["trainer.groups=some"], "trainer.groups is 'some'", "auto, exact, or a number"),
    (["trainer.groups=0"], "trainer.groups is '0'", "auto, exact, or a number"),
    (["trainer.groups='²'"], "trainer.groups is '²'", "auto, exact, or a number"),
    (["model.dim=0"], "model.dim is 0", "at least 1"),
    (["model.edge_hidden=-3"], "model.edge_hidden is -3", "at least 1"),
    (["schedule.factor=1"], "schedule.factor is 1.0", "between 0 and 1"),
    (["schedule.patience=-1"], "schedule.patience is -1", "0 or more"),
    (["schedule.min_lr=-0.1"], "schedule.min_lr is -0.1", "0 or a positive number"),
    (["data.train=0"], "data.train is 0", "at least 1 molecule"),
    (["data.test=-7"], "data.test is -7", "at least 1 molecule"),
    (["data.train=47"], "is 8 + 6 + 47, but the set has 60 molecules", "make a split smaller"),
    (["data.train=1"], "data.train is 1", "at least 2 molecules"),
    (["method=ls", "method.task_weights=[1,2]"], "method ls", "11"),
    (["method=stl", "method.main_task=11"], "method.main_task is 11", "0 to 10 (mu, alpha, HOMO"),
    (["method=stl", "method.main_task=-1"], "method.main_task is -1", "null or 0 to 10"),
    (["method=stl", "method.main_task=mu"], "method.main_task is 'mu'", "null or 0 to 10"),
    (["+method.main_task=2"], "method 'nash_mtl' has no option main_task", "its options are"),
    (["data.root=/dev/null/data"], "/dev/null/data", "choose another data.root"),
    (
        ["data.root={folder}/file"],
        "{folder}/file",
        "choose another data.root",
        lambda folder: (folder / "file").touch(),
    ),
]

NYUV2: list[Row] = [
    (["data.height=33"], "data.height is 33", "a multiple of 32"),
    (["data.width=0"], "data.width is 0", "a multiple of 32"),
    (["data.height=-32"], "data.height is -32", "a multiple of 32"),
    (["data.source=kinect"], "data.source is 'kinect'", "auto or store or rooms"),
    (["data.train=0"], "data.train is 0", "at least 1 frame"),
    (["data.test=-7"], "data.test is -7", "at least 1 frame"),
    (["data.train=few"], "data.train is 'few'", "expected an integer"),
    (["data.augment=perhaps"], "data.augment is 'perhaps'", "true or false"),
    (["model.network=segnett"], "model.network is 'segnett'", "segnet or mtan"),
    (["model.width=0"], "model.width is 0.0", "between 0 and 4"),
    (["model.width=wide"], "model.width is 'wide'", "expected a number"),
    (["model.attention=all"], "model.attention is 'all'", "shared or task_specific"),
    (["trainer.metrics=mine"], "trainer.metrics is 'mine'", "exact or paper"),
    (["trainer.last_epochs=0"], "trainer.last_epochs is 0", "at least 1"),
    (["schedule.step=0"], "schedule.step is 0", "at least 1 epoch"),
    (["schedule.factor=2"], "schedule.factor is 2.0", "above 0, at most 1"),
    (["method=stl", "method.main_task=3"], "method.main_task is 3", "0 to 2"),
    (["method=stl", "method.main_task=depth"], "method.main_task is 'depth'", "null or 0 to 2"),
    (["method=ls", "method.task_weights=[1,2]"], "method ls", "3"),
    (["data.source=store", "data.root=null"], "no NYUv2 store at data.root, NYUV2_ROOT", "prepare_nyuv2.py"),
    (["data.source=auto", "data.root={folder}/nowhere"], "{folder}/nowhere", "prepare_nyuv2.py"),
    (["data.source=auto", "data.root={folder}"], "{folder}", "prepare_nyuv2.py"),
    (
        ["data.source=auto", "data.root={folder}"],
        "manifest.json is damaged",
        "prepare_nyuv2.py",
        lambda folder: (folder / "manifest.json").write_text("{"),
    ),
    (
        ["data.source=auto", "data.root={folder}"],
        "has format 99",
        "prepare_nyuv2.py",
        lambda folder: write_json(folder / "manifest.json", {"format": 99}),
    ),
]


def _record(**changes: Any) -> Callable[[Path], None]:
    """One made-up record in ``folder/runs`` with some fields changed."""

    def make(folder: Path) -> None:
        path = write(folder / "runs", record(all_metrics(1.0)))
        write_json(path, {**json.loads(path.read_text()), **changes})

    return make


def _text(text: bytes) -> Callable[[Path], None]:
    """A record file with this content."""

    def make(folder: Path) -> None:
        write(folder / "runs", record(all_metrics(1.0)))
        next((folder / "runs").rglob("record.json")).write_bytes(text)

    return make


def _unreadable(folder: Path) -> None:
    """A folder where the record should be: what even root cannot read."""
    (folder / "runs" / "qm9" / "a" / "record.json").mkdir(parents=True)


RUNS = ["benchmark=qm9", "root={folder}/runs", "out={folder}/report"]

REPORT: list[Row] = [
    ([], "benchmark is missing", "qm9"),
    (["benchmark=mnist"], "mnist", "qm9"),
    (["benchmark="], "benchmark", "qm9"),
    (["qm9"], "'qm9' is not key=value", "benchmark"),
    (["=qm9"], "'=qm9' is not key=value", "benchmark"),
    (["benchmark=qm9", "rot=runs"], "'rot=runs' cannot be used", "the settings are benchmark"),
    (["benchmark=qm9", "report.later=perhaps"], "'report.later=perhaps' cannot be used", "the settings are"),
    (["benchmark=qm9", "report.reference.x=1"], "'report.reference.x=1' cannot be used", "the settings are"),
    (
        ["benchmark=qm9", "root={folder}/nowhere"],
        "{folder}/nowhere has no finished QM9 runs",
        "-m experiments.qm9.train",
    ),
    (["benchmark=nyuv2", "root={folder}"], "has no finished NYUv2 runs", "-m experiments.nyuv2.train"),
    (RUNS, "(1 that are not finished)", "-m experiments.qm9.train", _record(status="running")),
    ([*RUNS, "protocol=abc"], "'abc' has no finished runs", "those that have are", _record()),
    ([*RUNS, "report.reference=theirs"], "theirs", "choose one of auto, published, ours", _record()),
    ([*RUNS, "report.reference=ours"], "report.reference=ours needs", "report.reference=published", _record()),
    ([*RUNS, "out=/dev/null/report"], "cannot write in /dev/null/report", "choose another out", _record()),
    (RUNS, "'seed' is missing or not a int", "delete its folder", _record(seed="zero")),
    (RUNS, "'benchmark' is missing", "delete its folder", _record(benchmark=None)),
    (RUNS, "'config' is missing", "delete its folder", _record(config=[])),
    (RUNS, "'method' has no name", "delete its folder", _record(method={})),
    (RUNS, "has no results", "delete its folder", _record(results=None)),
    (
        RUNS,
        "the result mu is 'low', not a finite number",
        "delete its folder",
        _record(results={"metrics": {"mu": "low"}}),
    ),
    (RUNS, "its results lack alpha", "delete its folder", _record(results={"metrics": {"mu": 1.0}})),
    (RUNS, "unknown record format", "format 1", _record(format=99)),
    (RUNS, "record.json is not a run record", "delete its folder", _text(b"")),
    (RUNS, "record.json is not a run record", "delete its folder", _text(b'{"format": 1, "bench')),
    (RUNS, "record.json is not a run record", "delete its folder", _text(bytes(range(128, 160)))),
    (RUNS, "unknown record format", "format 1", _text(b"[1, 2]")),
    (RUNS, "cannot read {folder}/runs/qm9/a/record.json", "delete its folder", _unreadable),
]

FIGURES: list[Row] = [
    ([], "figure is missing", "give figure="),
    (["figure=99"], "figure=99 cannot be used", "choose from 1, 2"),
    (["figure=two"], "figure=two", "figure"),
    (["figure="], "'figure=' cannot be used", "the settings are"),
    (["figur=2"], "figur", "the settings are root, benchmark, protocol, methods, figure, out"),
    (["2"], "'2' is not key=value", "figure"),
    (["figure=2", "formats=[gif]"], "gif", "choose from png, svg, pdf"),
    (["figure=2", "formats=[]"], "formats", "png, svg, pdf"),
    (["figure=2", "formats=[png"], "formats=[png", "the settings are"),
    (["figure=2", "out=/dev/null/x"], "cannot write in /dev/null/x", "choose another out"),
    (
        ["figure=2", "out={folder}/file"],
        "cannot write in {folder}/file",
        "choose another out",
        lambda folder: (folder / "file").touch(),
    ),
]


def _npy(part: str, array: np.ndarray | None) -> Callable[[Path], None]:
    """MTAN's folders in ``folder/source`` with one array replaced, or its file cut off."""

    def make(folder: Path) -> None:
        path = npy_folder(folder / "source") / "train" / part / "1.npy"
        if array is None:
            path.write_bytes(path.read_bytes()[:100])
        else:
            np.save(path, array, allow_pickle=array.dtype == object)

    return make


def _empty_split(folder: Path) -> None:
    """A folder of pictures that lists no training frame."""
    for part in ("rgb", "depth8", "label40"):
        (folder / "source" / part).mkdir(parents=True)
    for part in ("train", "test"):
        (folder / "source" / f"{part}.txt").write_text("")


PREPARED = ["--source", "{folder}/source", "--out", "{folder}/out"]

PREPARE_NYUV2: list[Row] = [
    (PREPARED, "{folder}/source does not exist", "expected nyu_depth_v2_labeled.mat"),
    (
        PREPARED,
        "holds no form of NYUv2",
        "expected nyu_depth_v2_labeled.mat",
        lambda folder: (folder / "source").mkdir(),
    ),
    (
        PREPARED,
        "{folder}/source is no whole HDF5 file",
        "download it again",
        lambda folder: (folder / "source").write_text("no HDF5"),
    ),
    (PREPARED, "train.txt must hold frame numbers from 1", "bring it again", _empty_split),
    (PREPARED, "1.npy is no whole npy file", "bring it again", _npy("image", None)),
    (
        PREPARED,
        "1.npy is no whole npy file",
        "bring it again",
        _npy("image", np.array([{"an": "object"}], dtype=object)),
    ),
    (PREPARED, "shape [10, 10, 1], expected [288, 384, 1]", "1.npy", _npy("depth", np.zeros((10, 10, 1)))),
    (PREPARED, "labels 13..13, expected -1..12", "1.npy", _npy("label", np.full((288, 384), 13.0))),
    (PREPARED, "not finite", "1.npy", _npy("depth", np.full((288, 384, 1), np.nan))),
    (
        ["--source", "{folder}/source", "--out", "/dev/null/out"],
        "cannot write /dev/null/out",
        "choose another --out",
        _npy("label", np.zeros((288, 384))),
    ),
    (
        [*PREPARED, "--normals", "{folder}"],
        "--normals goes with nyu_depth_v2_labeled.mat only",
        "leave it out",
        lambda folder: (folder / "source").mkdir(),
    ),
]

#: By command; the trainers' own rows follow those of every trainer.
TABLE: dict[str, list[Row]] = {
    "qm9": [*EVERY_TRAINER, *QM9],
    "nyuv2": [*EVERY_TRAINER, *NYUV2],
    "report": REPORT,
    "figures": FIGURES,
    "prepare_nyuv2": PREPARE_NYUV2,
}
