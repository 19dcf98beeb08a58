"""Bad arguments and bad run records, as the commands find them that read, choose, show or log runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.common.files import write_json
from tests.common.made_up import all_metrics, record, write
from tests.mt10 import made_up as mt10
from tests.reliability.bad_rows import Row


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
        "{folder}/nowhere is not a folder",
        "give root=FOLDER",
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
    (RUNS, "'environment' is not a dict", "delete its folder", _record(environment="x")),
    (RUNS, "'optimizer' is not a dict", "delete its folder", _record(config={"benchmark": "qm9", "optimizer": None})),
    (RUNS, "epoch 1 is not a dict", "delete its folder", _record(epochs=[{}, None])),
    (RUNS, "'weights' of epoch 0 is not a dict", "delete its folder", _record(epochs=[{"weights": "x"}])),
    (RUNS, "'test' of epoch 0 has a value that is no", "delete its folder", _record(epochs=[{"test": {"mu": "x"}}])),
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
    (["figure=3", "root={folder}/nowhere"], "{folder}/nowhere is not a folder", "give root=FOLDER"),
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
    (["benchmark=qm9", "root={folder}/nowhere"], "{folder}/nowhere is not a folder", "give root=FOLDER"),
    (
        SEVERAL,
        "has no qm9 runs with several values of optimizer.lr",
        "-m experiments.qm9.train -m sweep=",
        lambda folder: (folder / "runs").mkdir(),
    ),
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
