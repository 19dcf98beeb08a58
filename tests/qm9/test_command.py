"""The command line: bad input is one line that names the setting and the remedy, and leaves nothing behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from experiments.common.records import RECORD
from experiments.qm9 import build
from experiments.qm9.molecules import Molecules, load_molecules
from tests.qm9.runs import command, records, small
from tests.qm9.samples import DAMAGE, LIMIT

#: What is given, and what the one line must say: the setting first, then the remedy.
BAD = [
    # choices
    (["method=lss"], "method lss is unknown; did you mean ls?", "one of cagrad, dwa, graddrop"),
    (["method=nonsense"], "method nonsense is unknown", "choose one of cagrad"),
    (["method=null"], "an override is neither", "such as method=nash_mtl"),
    (["~method"], "method is None", "expected one of stl, ls, si"),
    (["method=ls", "method.name=lss"], "method is 'lss'", "expected one of stl, ls, si"),
    (["preset=huge"], "preset huge is unknown", "choose one of paper, quick"),
    (["~preset"], "preset has no value", "set it with preset=VALUE"),
    (["logger=mlflow"], "logger mlflow is unknown", "choose one of csv, none, tensorboard, wandb"),
    (["logger.name=mlflow"], "logger.name is 'mlflow'", "expected none, wandb, tensorboard or csv"),
    (
        ["logger=csv", "logger.also=[mlflow]"],
        "logger.also is ['mlflow']",
        "a list of none, wandb, tensorboard or csv",
    ),
    (["logger=wandb", "logger.mode=sometimes"], "logger.mode is 'sometimes'", "online, offline or null"),
    (["logger.timeout_seconds=-1"], "logger.timeout_seconds is -1.0", "expected a positive number"),
    (["data.source=qm8"], "data.source is 'qm8'", "expected qm9pack or pyg"),
    (["data.statistics=test"], "data.statistics is 'test'", "expected train or all"),
    (["model.network=transformer"], "model.network is 'transformer'", "expected dense or reference"),
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
    (["trainer.groups=some"], "trainer.groups is 'some'", "auto, exact, or a number"),
    (["trainer.groups=0"], "trainer.groups is '0'", "auto, exact, or a number"),
    (["trainer.groups='²'"], "trainer.groups is '²'", "auto, exact, or a number"),
    (["model.dim=0"], "model.dim is 0", "at least 1"),
    (["model.edge_hidden=-3"], "model.edge_hidden is -3", "at least 1"),
    (["optimizer.lr=0"], "optimizer.lr is 0.0", "a positive number"),
    (["optimizer.lr=nan"], "optimizer.lr is nan", "a positive number"),
    (["optimizer.method_lr=inf"], "optimizer.method_lr is inf", "a positive number"),
    (["schedule.factor=1"], "schedule.factor is 1.0", "between 0 and 1"),
    (["schedule.patience=-1"], "schedule.patience is -1", "0 or more"),
    (["schedule.min_lr=-0.1"], "schedule.min_lr is -0.1", "0 or a positive number"),
    (["run.checkpoint_every=-1"], "run.checkpoint_every is -1", "0 (off) or more"),
    (["run.threads=0"], "run.threads is 0", "at least 1"),
    (["run.device=gpu"], "run.device 'gpu' cannot be used", "use auto, cpu or cuda"),
    (["run.device=meta"], "run.device 'meta' cannot be used", "use auto, cpu or cuda"),
    (["run.device=cuda:99"], "run.device 'cuda:99' cannot be used", "use auto, cpu or cuda"),
    (["data.train=0"], "data.train is 0", "at least 1 molecule"),
    (["data.test=-7"], "data.test is -7", "at least 1 molecule"),
    (["data.train=487"], f"is 8 + 6 + 487, but the set has {LIMIT} molecules", "make a split smaller"),
    (["data.train=1"], "data.train is 1", "at least 2 molecules"),
    (["method.solver=guess"], "method nash_mtl: solver 'guess' is unknown", "newton, ccp"),
    (["method.update_weights_every=0"], "update_weights_every (0)", "at least 1"),
    (["method.max_norm=-1"], "max_norm is -1", "0 for no clipping"),
    (["method=ls", "method.task_weights=[1,2]"], "method ls", "11"),
    (["method=stl", "method.main_task=11"], "method.main_task is 11", "0 to 10 (mu, alpha, HOMO"),
    (["method=stl", "method.main_task=-1"], "method.main_task is -1", "null or 0 to 10"),
    (["method=stl", "method.main_task=mu"], "method.main_task is 'mu'", "null or 0 to 10"),
    (["+method.main_task=2"], "method 'nash_mtl' has no option main_task", "its options are"),
    # places
    (["run.root=/dev/null/runs"], "cannot write in /dev/null/runs", "choose another run.root"),
    (["data.root=/dev/null/data"], "/dev/null/data", "choose another data.root"),
]


@pytest.mark.parametrize(("given", "named", "remedy"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_is_one_line(
    qm9_root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    given: list[str],
    named: str,
    remedy: str,
) -> None:
    status, out, err = command(small(qm9_root, tmp_path / "runs", *given), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ") and named in line and remedy in line, line
    assert line.endswith(".") and not out
    assert not list(tmp_path.rglob(RECORD)) and not list(tmp_path.rglob("*.tmp"))


def test_an_unwritable_folder_is_named(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    (tmp_path / "runs").write_text("a file stands where the folder should be")
    status, _, err = command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)
    assert status == 1
    assert err.startswith(f"error: cannot write in {tmp_path / 'runs'}") and "choose another run.root" in err


def test_a_missing_package_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "qm9pack" else find(name, *a))
    status, _, err = command(small(tmp_path / "empty", tmp_path / "runs"), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: the package qm9pack") and "pip install -r requirements.txt" in line
    assert not list(tmp_path.rglob(RECORD))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_built_again(
    store: Molecules, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, damage: Any
) -> None:
    from experiments.qm9.molecules import save_molecules

    path = tmp_path / "data" / "qm9_qm9pack.npz"
    save_molecules(store, path)
    damage(path)
    monkeypatch.setitem(build.BUILDERS, "qm9pack", lambda root: store)
    arguments = small(tmp_path / "data", tmp_path / "runs", "method=ls", "trainer.epochs=1", "data.train=6")
    status, _, err = command(arguments, monkeypatch, capsys)
    assert status == 0
    (line,) = err.strip().splitlines()
    assert line.startswith(f"warning: {path}") and line.endswith("it is built again")
    assert len(load_molecules(path)) == len(store)
    (record,) = records(tmp_path / "runs")
    assert record["status"] == "finished"


def test_multirun_runs_all_and_skips_them_the_second_time(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = ["-m", *small(qm9_root, tmp_path / "runs", "method=ls,cagrad", "seed=0,1", "trainer.epochs=1")]
    assert command(arguments, monkeypatch, capsys)[0] == 0
    first = records(tmp_path / "runs")
    pairs = sorted((record["method"]["name"], record["seed"]) for record in first)
    assert pairs == [("cagrad", 0), ("cagrad", 1), ("ls", 0), ("ls", 1)]
    assert all(record["status"] == "finished" for record in first)
    status, out, _ = command(arguments, monkeypatch, capsys)
    assert status == 0 and out.count("is finished, skipped") == 4
    assert records(tmp_path / "runs") == first


def test_a_multirun_goes_on_after_a_bad_run_and_still_fails(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    arguments = [
        "-m",
        *small(qm9_root, tmp_path / "runs", "method=ls", "seed=0", "data.train=1,12", "trainer.epochs=1"),
    ]
    status, _, err = command(arguments, monkeypatch, capsys)
    assert status == 1 and err.strip().splitlines() == [
        line for line in err.splitlines() if "data.train is 1" in line
    ]
    (record,) = records(tmp_path / "runs")
    assert record["status"] == "finished" and record["data"]["train"] == 12


def test_a_defect_of_ours_keeps_its_traceback(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from experiments.qm9 import train as trainer

    def defect(*args: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(trainer, "load_data", defect)
    with pytest.raises(ValueError, match="a defect"):
        command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)


def test_ctrl_c_before_the_first_step_is_one_line(
    qm9_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from experiments.qm9 import train as trainer

    def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "load_data", interrupted)
    status, _, err = command(small(qm9_root, tmp_path / "runs"), monkeypatch, capsys)
    assert status == 130 and err.startswith("error: interrupted") and len(err.strip().splitlines()) == 1
