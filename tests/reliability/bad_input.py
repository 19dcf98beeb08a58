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
from PIL import Image

from experiments.common.files import write_json
from tests.cityscapes import forms as streets
from tests.common.made_up import all_metrics, record, write
from tests.mt10 import made_up as mt10
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
    # keys
    (["nope=1"], "the setting nope is unknown", "there are benchmark, preset, seed"),
    (["sed=1"], "the setting sed is unknown; did you mean seed?", "There are benchmark"),
    (["+sed=1"], "the setting sed is unknown; did you mean seed?", "There are benchmark"),
    (["+a/b=c"], "the setting a/b is unknown", "there are benchmark"),
    (["run.out=here"], "the setting run.out is unknown", "run.root"),
    (["method.max_nrm=1"], "method.max_nrm is unknown; did you mean method.max_norm?", "method.solver"),
    (["+method.max_nrm=1"], "method 'nash_mtl' has no option max_nrm", "its options are update_weights_every"),
    (["~seedd"], "Could not delete from config. 'seedd' does not exist.", ""),
    (["+seed=3"], "An item is already at 'seed'", "remove + prefix: 'seed=3'"),
    (["=3"], "an override is neither", "such as method=nash_mtl"),
    # types
    (["seed=[1,2]"], "seed is [1, 2]", "expected an integer"),
    (["seed=null"], "seed is null", "it needs a value"),
    (["run.progress=perhaps"], "run.progress is 'perhaps'", "expected true or false"),
    (["run.threads=two"], "run.threads is 'two'", "expected an integer"),
    (["method.max_norm=big"], "method.max_norm is 'big'", "expected a number"),
    (["method.update_weights_every=1.5"], "method.update_weights_every is 1.5", "expected an integer"),
    (["method.weight_heads=7"], "method.weight_heads is 7", "expected true or false"),
    (["method=rlw", "method.seed=soon"], "method.seed is 'soon'", "expected an integer"),
    # values
    (["seed=-1"], "seed is -1", "0 or a positive number"),
    (["seed=99999999999999999999"], "seed is 99999999999999999999", "below 2^63"),
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
    (["method=ls", "method.task_weights=3"], "method ls", "task_weights"),
    (
        ["run.root={folder}/file/runs"],
        "cannot write in {folder}/file/runs",
        "choose another run.root",
        lambda folder: (folder / "file").touch(),
    ),
    (["run.root="], "run.root is ''", "a folder"),
]

#: Of the trainers that go through a data set.
SUPERVISED: list[Row] = [
    (["report.reference=theirs"], "report.reference is 'theirs'", "expected published or ours"),
    (["report.reference=ours"], "report.reference=ours needs finished STL runs", "run method=stl first"),
    (["trainer.epoch=3"], "trainer.epoch is unknown; did you mean trainer.epochs?", "trainer.batch_size"),
    (["++trainer.epoch=3"], "trainer.epoch is unknown; did you mean trainer.epochs?", "trainer.batch_size"),
    (["report.foo=1"], "the setting report.foo is unknown", "there are report.reference"),
    (["trainers.epochs=3"], "the setting trainers is unknown; did you mean trainer?", "There are"),
    (["trainer.epochs"], "'trainer.epochs' cannot be read as key=value", "quotes"),
    (["data.root=a=b c"], "'data.root=a=b c' cannot be read as key=value", "quotes"),
    (["trainer.epochs=many"], "trainer.epochs is 'many'", "expected an integer"),
    (["trainer.epochs=1.5"], "trainer.epochs is 1.5", "expected an integer"),
    (["trainer.epochs.x=1"], "trainer.epochs", "expected an integer"),
    (["trainer.epochs=1,2"], "Ambiguous value for argument 'trainer.epochs=1,2'", "--multirun"),
    (["optimizer.lr=fast"], "optimizer.lr is 'fast'", "expected a number"),
    (["data=null"], "data is null", "it needs a value"),
    (["report=ours"], "report is a group of settings, not a value", "set report.reference"),
    (["data.root=${oc.env:THERE_IS_NO_SUCH}"], "data.root cannot be resolved", "'THERE_IS_NO_SUCH' not found"),
    (["trainer.epochs=0"], "trainer.epochs is 0", "at least 1"),
    (["trainer.batch_size=-5"], "trainer.batch_size is -5", "at least 1"),
    (["optimizer.lr=0"], "optimizer.lr is 0.0", "a positive number"),
    (["optimizer.lr=nan"], "optimizer.lr is nan", "a positive number"),
    (["optimizer.method_lr=inf"], "optimizer.method_lr is inf", "a positive number"),
    (["+method.main_task=1"], "method 'nash_mtl' has no option main_task", "its options are"),
    (["method=ls", "method.task_weights=[1,-1,x]"], "method ls", "task_weights is"),
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

#: Of both sets of scenes.
SCENES: list[Row] = [
    (["data.height=33"], "data.height is 33", "a multiple of 32"),
    (["data.width=0"], "data.width is 0", "a multiple of 32"),
    (["data.height=-32"], "data.height is -32", "a multiple of 32"),
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
    (["speed.autocast=float16"], "speed.autocast is 'float16'", "none or bfloat16"),
    (["speed.compile=yes"], "speed.compile is ", "none or inductor"),
    (["speed.channels_last=maybe"], "speed.channels_last is 'maybe'", "true or false"),
    (
        ["data.source=auto", "data.root={folder}"],
        "manifest.json is damaged",
        "prepare_",
        lambda folder: (folder / "manifest.json").write_text("{"),
    ),
    (
        ["data.source=auto", "data.root={folder}"],
        "has format 99",
        "prepare_",
        lambda folder: write_json(folder / "manifest.json", {"format": 99}),
    ),
    (["data.source=auto", "data.root={folder}/nowhere"], "{folder}/nowhere", "prepare_"),
    (["data.source=auto", "data.root={folder}"], "{folder}", "prepare_"),
]

NYUV2: list[Row] = [
    *SCENES,
    (["data.source=kinect"], "data.source is 'kinect'", "auto or store or rooms"),
    (["method=stl", "method.main_task=3"], "method.main_task is 3", "0 to 2"),
    (["method=stl", "method.main_task=depth"], "method.main_task is 'depth'", "null or 0 to 2"),
    (["method=ls", "method.task_weights=[1,2]"], "method ls", "3"),
    (["data.source=store", "data.root=null"], "no NYUv2 store at data.root, NYUV2_ROOT", "prepare_nyuv2.py"),
]

CITYSCAPES: list[Row] = [
    *SCENES,
    (["data.source=rooms"], "data.source is 'rooms'", "auto or store or streets"),
    (["method=stl", "method.main_task=2"], "method.main_task is 2", "0 to 1"),
    (["method=ls", "method.task_weights=[1,2,3]"], "method ls", "2"),
    (
        ["data.source=store", "data.root=null"],
        "no Cityscapes store at data.root, CITYSCAPES_ROOT",
        "prepare_cityscapes.py",
    ),
]

MT10: list[Row] = [
    (["trainer.step=3"], "trainer.step is unknown; did you mean trainer.steps?", "trainer.initial_steps"),
    (["trainer.steps=many"], "trainer.steps is 'many'", "expected an integer"),
    (["trainer.steps=0"], "trainer.steps is 0", "at least 1"),
    (["trainer.initial_steps=0"], "trainer.initial_steps is 0", "at least 1"),
    (["trainer.initial_updates=-1"], "trainer.initial_updates is -1", "0 or more"),
    (["trainer.replay_capacity=0"], "trainer.replay_capacity is 0", "at least 1"),
    (["trainer.evaluate_every=0"], "trainer.evaluate_every is 0", "at least 1"),
    (["trainer.evaluation_episodes=0"], "trainer.evaluation_episodes is 0", "at least 1"),
    (["trainer.reward_scale=0"], "trainer.reward_scale is 0.0", "a positive number"),
    (["trainer.reward_scale=nan"], "trainer.reward_scale is nan", "a positive number"),
    (["trainer.epochs=3"], "trainer.epochs is unknown; did you mean trainer.steps?", "trainer.steps"),
    (["optimizer.lr=0.1"], "the setting optimizer is unknown", "sac"),
    (["data.root=here"], "the setting data is unknown", "There are"),
    (["agent=mtl"], "agent mtl is unknown; did you mean mtl_sac?", "one of care"),
    (["agent.name=mtl"], "agent 'mtl' is unknown", "The agents are"),
    (["~agent"], "agent.name has no value", "set it with agent.name=VALUE"),
    (["agent=stl_sac", "method=nash_mtl"], "method nash_mtl has nothing to combine", "use method=ls"),
    (["method=stl"], "method stl trains one task", "agent=stl_sac with method=ls"),
    (["method=si"], "method si needs positive losses", "choose another method"),
    (["method=imtl_g"], "method imtl_g wants", "set method.gradients=shared"),
    (["row=care_nash"], "row care_nash is unknown", "choose one of"),
    (["profile=mt50"], "profile is 'mt50'", "expected one of"),
    (["tasks=[east,up]"], "tasks is ['east', 'up']", "give some of east, north"),
    (["tasks=[east,east]"], "tasks is ['east', 'east']", "each only once"),
    (["tasks=[]"], "tasks is []", "give some of"),
    (["tasks=east"], "tasks is not a list", "such as tasks=[a,b]"),
    (["backend=fast"], "backend is 'fast'", "expected"),
    (["sac.width=0"], "sac.width is 0", "at least 1"),
    (["sac.batch_per_task=-1"], "sac.batch_per_task is -1", "at least 1"),
    (["sac.lr=0"], "sac.lr is 0.0", "a positive number"),
    (["sac.lr=inf"], "sac.lr is inf", "a positive number"),
    (["sac.gamma=1.5"], "sac.gamma is 1.5", "between 0 and 1"),
    (["sac.tau=-1"], "sac.tau is -1.0", "between 0 and 1"),
    (["sac.sampling=all"], "sac.sampling is 'all'", "expected one of balanced, mixed"),
    (["sac.temperature=hot"], "sac.temperature is 'hot'", "expected one of"),
    (["sac.capture=video"], "sac.capture is 'video'", "expected one of"),
    (["sac.capture=graph", "sac.sampling=mixed"], "capture=graph needs", "sampling=balanced"),
    (["agent=care", "method=ls", "sac.task_embedding_file={folder}/none.json"], "{folder}/none.json", ""),
    (
        ["agent=care", "method=ls", "sac.task_embedding_file={folder}/embedding.json"],
        "{folder}/embedding.json",
        "",
        lambda folder: (folder / "embedding.json").write_text("{"),
    ),
    (["run.workers=-1"], "run.workers is -1", "0 (in this process) or more"),
    (["run.seeds_together=0"], "run.seeds_together is 0", "1 to 64"),
    (["seed=9223372036854775807", "run.seeds_together=2"], "seed", ""),
]


def _a_file(folder: Path) -> None:
    (folder / "file").touch()


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

CITYSCAPES_SOURCE = ["--source", "{folder}/source", "--out", "{folder}/out"]


def _npy_street(split: str, part: str, array: np.ndarray | None) -> Callable[[Path], None]:
    """MTAN's Cityscapes folders in ``folder/source`` with one array replaced, or its file cut off."""

    def make(folder: Path) -> None:
        path = streets.npy_folder(folder / "source") / split / part / "0.npy"
        if array is None:
            path.write_bytes(path.read_bytes()[:100])
        else:
            np.save(path, array, allow_pickle=array.dtype == object)

    return make


def _official_street(part: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    """The official folders in ``folder/source`` with one file changed."""

    def make(folder: Path) -> None:
        change(next((streets.official_folder(folder / "source") / part / "val").rglob("*.png")))

    return make


def _picture(array: np.ndarray) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(array).save(path)


PREPARE_CITYSCAPES: list[Row] = [
    (CITYSCAPES_SOURCE, "{folder}/source does not exist", "expected the official files"),
    (
        CITYSCAPES_SOURCE,
        "holds no form of Cityscapes that is known",
        "expected the official files",
        lambda folder: (folder / "source").mkdir(),
    ),
    (
        CITYSCAPES_SOURCE,
        "{folder}/source",
        "expected the official files",
        lambda folder: (folder / "source").write_text("no folder"),
    ),
    (CITYSCAPES_SOURCE, "0.npy is no whole npy file", "bring it again", _npy_street("train", "image", None)),
    (
        CITYSCAPES_SOURCE,
        "0.npy is no whole npy file",
        "bring it again",
        _npy_street("val", "label_7", np.array([{"an": "object"}], dtype=object)),
    ),
    (
        CITYSCAPES_SOURCE,
        "shape [10, 10, 1], expected [128, 256, 1]",
        "0.npy",
        _npy_street("val", "depth", np.zeros((10, 10, 1))),
    ),
    (
        CITYSCAPES_SOURCE,
        "labels 7..7, expected -1..6",
        "0.npy",
        _npy_street("val", "label_7", np.full((128, 256), 7.0)),
    ),
    (
        CITYSCAPES_SOURCE,
        "not finite",
        "mark unknown depth by 0",
        _npy_street("train", "depth", np.full((128, 256, 1), np.nan)),
    ),
    (
        CITYSCAPES_SOURCE,
        "colours outside 0..1",
        "divide them",
        _npy_street("train", "image", np.full((128, 256, 3), 255.0)),
    ),
    (
        CITYSCAPES_SOURCE,
        "unequal numbers of npy files",
        "bring it again",
        lambda folder: next((streets.npy_folder(folder / "source") / "val" / "depth").glob("*.npy")).unlink(),
    ),
    (
        CITYSCAPES_SOURCE,
        "is missing",
        "unpack disparity_trainvaltest.zip there",
        _official_street("disparity", Path.unlink),
    ),
    (
        CITYSCAPES_SOURCE,
        "disparity.png",
        "",
        _official_street("disparity", lambda path: path.write_bytes(path.read_bytes()[:500])),
    ),
    (
        CITYSCAPES_SOURCE,
        "leftImg8bit.png",
        "expected [1024, 2048, 3]",
        _official_street("leftImg8bit", _picture(np.zeros((10, 10, 3), np.uint8))),
    ),
    (
        CITYSCAPES_SOURCE,
        "labelIds.png",
        "",
        _official_street("gtFine", _picture(np.full((1024, 2048), 200, np.uint8))),
    ),
    (
        ["--source", "{folder}/source", "--out", "/dev/null/out"],
        "cannot write /dev/null/out",
        "choose another --out",
        lambda folder: (streets.npy_folder(folder / "source"), None)[1],
    ),
]

STATUS: list[Row] = [
    (["root={folder}/nowhere"], "{folder}/nowhere is not a folder", "give root=FOLDER"),
    (["root="], "root is ''", "give root=VALUE"),
    (
        ["root={folder}/file"],
        "{folder}/file is not a folder",
        "root=FOLDER",
        lambda folder: (folder / "file").touch(),
    ),
    (["root={folder}/runs", "benchmark=mnist"], "has no runs of mnist", "it has runs of qm9", _record()),
    (["root={folder}", "limit=-1"], "limit is -1", "0 for all"),
    (["root={folder}", "limit=few"], "'limit=few' cannot be used", "the settings are root"),
    (["root={folder}", "format=xml"], "format=xml cannot be used", "choose from text, json"),
    (["root={folder}", "formatt=json"], "formatt is unknown", "the settings are root, benchmark, limit, format"),
    (["runs"], "'runs' is not key=value", "the settings are"),
    (["=runs"], "'=runs' is not key=value", "the settings are"),
]

SEVERAL = ["benchmark=qm9", "root={folder}/runs"]


def _rates(folder: Path, **changes: Any) -> None:
    """Two finished runs that differ in their learning rate, the second with some fields changed."""
    for rate in (1e-3, 1e-2):
        path = write(folder / "runs", record(all_metrics(1.0), optimizer={"lr": rate}))
    write_json(path, {**json.loads(path.read_text()), **changes})


SELECT: list[Row] = [
    ([], "benchmark is missing", "one of cityscapes"),
    (["benchmark=mnist"], "benchmark=mnist cannot be used", "choose from cityscapes"),
    (SEVERAL, "has no qm9 runs with several values of optimizer.lr", "-m experiments.qm9.train -m sweep="),
    ([*SEVERAL, "split=train"], "split=train cannot be used", "choose from validation, test"),
    ([*SEVERAL, "over="], "over is ''", "give over=VALUE"),
    ([*SEVERAL, "over=nonsense"], "several values of nonsense", "make some with", _rates),
    ([*SEVERAL, "out=/dev/null/x.json"], "cannot write /dev/null/x.json", "choose another place", _rates),
    (
        [*SEVERAL, "out={folder}"],
        "cannot write {folder}",
        "choose another place",
        _rates,
    ),
    (SEVERAL, "'config' is missing", "delete its folder", lambda folder: _rates(folder, config=3)),
    (SEVERAL, "'seed' is missing", "delete its folder", lambda folder: _rates(folder, seed=None)),
    (SEVERAL, "its epochs are missing", "delete its folder", lambda folder: _rates(folder, epochs=None)),
    (SEVERAL, "has no results", "delete its folder", lambda folder: _rates(folder, results=None)),
    (SEVERAL, "record.json is not a run record", "delete its folder", _text(b"")),
    (SEVERAL, "NaN is not a number that a record may hold", "delete its folder", _text(b'{"format": 1, "a": NaN}')),
    (SEVERAL, "cannot read {folder}/runs/qm9/a/record.json", "delete its folder", _unreadable),
    ([*SEVERAL, "rot=runs"], "rot is unknown", "the settings are benchmark, root, over, split, out"),
]

BASELINES: list[Row] = [
    ([], "benchmark is missing", "give benchmark="),
    (["benchmark=mnist"], "'mnist'", "there are for cityscapes"),
    (["benchmark=../qm9"], "'../qm9'", "there are for cityscapes"),
    (["benchmark=qm9", "mode=sometimes"], "mode=sometimes cannot be used", "choose from online, offline"),
    (["benchmark=qm9", "later=perhaps"], "'later=perhaps' cannot be used", "the settings are benchmark"),
    (["benchmark=qm9", "timeout_seconds=soon"], "'timeout_seconds=soon' cannot be used", "the settings are"),
    (["benchmark=qm9", "timeout_seconds=-1"], "timeout_seconds is -1.0", "a positive number"),
    (["benchmark=qm9", "timeout_seconds=nan"], "timeout_seconds is nan", "a positive number"),
    (["benchmark=qm9", "project="], "project is ''", "give project=VALUE"),
    (["benchmark=qm9", "mode=offline", "out=/dev/null/x"], "cannot write in /dev/null/x", "choose another out"),
    (
        ["benchmark=qm9", "mode=offline", "out={folder}/file"],
        "cannot write in {folder}/file",
        "choose another out",
        lambda folder: (folder / "file").touch(),
    ),
    (["benchmark=qm9", "projekt=x"], "projekt is unknown", "the settings are benchmark, project"),
]

CHECK_PUBLISHED: list[Row] = [
    (["qm9"], "'qm9' is not key=value", "there are no settings"),
    (["benchmark=qm9"], "benchmark is unknown", "there are no settings"),
    (["--all"], "'--all' is not key=value", "there are no settings"),
]


def _mt10_run(**changes: Any) -> Callable[[Path], None]:
    """A made-up MT10 record in ``folder/run`` with some fields changed, and no policy beside it."""

    def make(folder: Path) -> None:
        entry = mt10.record("mtl_sac", {"name": "ls"}, [[0.5, 0.5]])
        write_json(folder / "run" / "record.json", {**entry, **changes})

    return make


PLAY: list[Row] = [
    ([], "run is missing", "give run=VALUE"),
    (["run={folder}/nowhere"], "{folder}/nowhere holds no MT10 run", "give the folder"),
    (["run={folder}", "out=film.avi"], "out is 'film.avi'", "ends in .mp4 or .gif"),
    (["run={folder}", "size=7"], "size is 7", "an even number of pixels"),
    (["run={folder}", "size=100000"], "size is 100000", "at most"),
    (["run={folder}", "size=big"], "'size=big' cannot be used", "the settings are"),
    (["run={folder}", "every=0"], "every is 0", "at least 1 step"),
    (["run={folder}", "speed=3"], "speed is unknown", "the settings are run"),
    (["run={folder}/run", "--out"], "'out' is not key=value", "the settings are"),
    (["run={folder}/run"], "holds no policy.pt", "give a finished one", _mt10_run()),
    (["run={folder}/run", "task=fly"], "task is 'fly'", "the run has reach, push", _mt10_run()),
    (["run={folder}/run"], "holds no MT10 run", "give the folder", _mt10_run(benchmark="qm9")),
    (["run={folder}/run"], "'seed' is missing", "delete its folder", _mt10_run(seed=None)),
    (["run={folder}/run"], "'config' is missing", "delete its folder", _mt10_run(config=None)),
    (["run={folder}/run"], "'profile'", "delete its folder", _mt10_run(config={})),
    (["run={folder}/run"], "'tasks'", "delete its folder", _mt10_run(data={})),
]


def _scene_run(**changes: Any) -> Callable[[Path], None]:
    """A made-up Cityscapes record in ``folder/run`` with some fields changed, and no network beside it."""

    def make(folder: Path) -> None:
        entry = {**record({"mIoU": 50.0}), "benchmark": "cityscapes", "config": {"benchmark": "cityscapes"}}
        write_json(folder / "run" / "record.json", {**entry, **changes})

    return make


SHOW: list[Row] = [
    ([], "run is missing", "give run=VALUE"),
    (["run={folder}/nowhere"], "{folder}/nowhere has no record.json", "give run=FOLDER"),
    (["run={folder}/run", "count=0"], "count is 0", "at least 1", _scene_run()),
    (["run={folder}/run", "count=some"], "'count=some' cannot be used", "the settings are"),
    (["run={folder}/run", "counts=2"], "counts is unknown", "the settings are run, out, count, root, device"),
    (["run={folder}/run"], "is a run of qm9, not of cityscapes", "give another run", _scene_run(benchmark="qm9")),
    (["run={folder}/run"], "is not finished (running)", "repeat its command", _scene_run(status="running")),
    (
        ["run={folder}/run"],
        "is of another version",
        "delete its folder",
        _scene_run(config={"model": {"depth": 3}}),
    ),
    (["run={folder}/run"], "is of another version", "delete its folder", _scene_run(config={})),
    (["run={folder}/run"], "'config' is missing", "delete its folder", _scene_run(config=None)),
    (["run={folder}/run"], "'status' is missing", "delete its folder", _scene_run(status=None)),
]

#: By command; the trainers' own rows follow those of every trainer.
TABLE: dict[str, list[Row]] = {
    "qm9": [*EVERY_TRAINER, *SUPERVISED, *QM9],
    "nyuv2": [*EVERY_TRAINER, *SUPERVISED, *NYUV2],
    "cityscapes": [*EVERY_TRAINER, *SUPERVISED, *CITYSCAPES],
    "mt10": [*EVERY_TRAINER, *MT10],
    "report": REPORT,
    "figures": FIGURES,
    "prepare_nyuv2": PREPARE_NYUV2,
    "prepare_cityscapes": PREPARE_CITYSCAPES,
    "status": STATUS,
    "select": SELECT,
    "log_baselines": BASELINES,
    "check_published": CHECK_PUBLISHED,
    "play": PLAY,
    "show": SHOW,
}
