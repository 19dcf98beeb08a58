"""The command line: bad input is one line that names the remedy, a sweep takes rows, agents and methods."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments.common.config import CONFIGS
from experiments.common.names import PAPER_METHODS
from experiments.common.records import RECORD, protocol_digest, run_name
from experiments.mt10.agents import AGENTS
from experiments.mt10.sac import SACOptions
from experiments.mt10.sweep import ROWS
from tests.mt10.runs import command, configured, records, small

RESULTS = CONFIGS.parent / "results"

#: What is given, and what the one line must say: the setting first, then the remedy.
BAD = [
    # choices
    (["agent=mtlsac"], "agent mtlsac is unknown", "did you mean mtl_sac?"),
    (["agent.name=mtlsac"], "agent 'mtlsac' is unknown", "The agents are stl_sac"),
    (["row=nash"], "row nash is unknown; did you mean nash_mtl?", "Choose one of cagrad"),
    (["preset=huge"], "preset huge is unknown", "choose one of control, easy, paper, quick"),
    (["profile=mt50"], "profile is 'mt50'", "mt10-paper, mt10-fixed, mt10-plus, control"),
    (["tasks=[up]"], "tasks is ['up']", "give some of east"),
    (["tasks=[]"], "tasks is []", "give some of east"),
    (["profile=mt10-fixed", "tasks=[reach,fly]"], "unknown MT10 task 'fly'", "choose from reach"),
    (["profile=mt10-fixed", "tasks=[reach,reach]"], "reach", "each only once"),
    (["backend=fast"], "backend is 'fast'", "lean or stock"),
    (["sac.sampling=some"], "sac.sampling is 'some'", "balanced, mixed"),
    (["sac.temperature=hot"], "sac.temperature is 'hot'", "auto, shared, per_task"),
    (["sac.capture=all"], "sac.capture is 'all'", "graph"),
    # what an agent lacks
    (["agent=stl_sac", "method=nash_mtl"], "agent stl_sac shares no parameters", "use method=ls"),
    (["method=stl"], "method stl trains one task", "agent=stl_sac with method=ls"),
    (["method=si"], "method si needs positive losses", "choose another method"),
    (["method=imtl_g"], "method imtl_g wants the gradients of a representation", "method.gradients=shared"),
    # keys and types
    (["step=3"], "the setting step is unknown", "there are benchmark"),
    (["trainer.step=3"], "trainer.step is unknown; did you mean trainer.steps?", "There are"),
    (["sac.lrr=3"], "sac.lrr is unknown; did you mean sac.lr?", "There are"),
    (["+sac.lrr=3"], "sac.lrr is unknown; did you mean sac.lr?", "There are"),
    (["trainer.steps=many"], "trainer.steps is 'many'", "expected an integer"),
    (["tasks=reach"], "tasks is not a list", "tasks=[a,b]"),
    (["seed=null"], "seed is null", "it needs a value"),
    # values
    (["seed=-1"], "seed is -1", "0 or a positive number"),
    (["trainer.steps=0"], "trainer.steps is 0", "at least 1"),
    (["trainer.initial_steps=0"], "trainer.initial_steps is 0", "at least 1"),
    (["trainer.initial_updates=-1"], "trainer.initial_updates is -1", "0 or more"),
    (["trainer.evaluate_every=0"], "trainer.evaluate_every is 0", "at least 1"),
    (["trainer.evaluation_episodes=0"], "trainer.evaluation_episodes is 0", "at least 1"),
    (["trainer.replay_capacity=0"], "trainer.replay_capacity is 0", "at least 1"),
    (["trainer.reward_scale=0"], "trainer.reward_scale is 0.0", "a positive number"),
    (["sac.lr=0"], "sac.lr is 0.0", "a positive number"),
    (["sac.lr=nan"], "sac.lr is nan", "a positive number"),
    (["sac.gamma=1.5"], "sac.gamma is 1.5", "between 0 and 1"),
    (["sac.batch_per_task=0"], "sac.batch_per_task is 0", "at least 1"),
    (["run.seeds_together=0"], "run.seeds_together is 0", "1 to 64"),
    (["run.workers=-1"], "run.workers is -1", "0 (in this process) or more"),
    (["run.device=gpu"], "run.device 'gpu' cannot be used", "use auto, cpu or cuda"),
    (["run.root=/dev/null/runs"], "cannot write in /dev/null/runs", "choose another run.root"),
    (["method.update_weights_every=0"], "update_weights_every (0)", "at least 1"),
    (["method=ls", "method.task_weights=[1,2,3]"], "method ls", "2"),
]


@pytest.mark.parametrize(("given", "named", "remedy"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, given: list[str], named: str, remedy: str
) -> None:
    status, out, err = command(small(tmp_path / "runs", *given), monkeypatch, capsys)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("error: ") and named in line and remedy in line, line
    assert line.endswith(".") and not out
    assert not list(tmp_path.rglob(RECORD)) and not list(tmp_path.rglob("*.tmp"))


def test_a_sweep_over_agents_and_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    short = ["trainer.steps=40", "trainer.evaluate_every=40"]
    arguments = ["-m", *small(tmp_path, *short, "agent=mtl_sac,stl_sac", "seed=0,1")]
    assert command(arguments, monkeypatch, capsys)[0] == 0
    found = sorted((r["config"]["agent"]["name"], r["method"]["name"], r["seed"]) for r in records(tmp_path))
    expected = [("mtl_sac", "nash_mtl", 0), ("mtl_sac", "nash_mtl", 1), ("stl_sac", "ls", 0), ("stl_sac", "ls", 1)]
    assert found == expected and all(record["status"] == "finished" for record in records(tmp_path))
    status, out, _ = command(arguments, monkeypatch, capsys)
    assert status == 0 and out.count("is finished, skipped") == 4


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], list(ROWS)),
        (["agent=care"], ["none"]),
        (["method=ls"], ["none"]),
        (["seed=0,1"], list(ROWS)),
    ],
)
@pytest.mark.parametrize("preset", ["paper", "quick", "easy", "control"])
def test_a_sweep_of_a_preset_takes_its_rows(preset: str, given: list[str], expected: list[str]) -> None:
    if preset == "easy" and expected == list(ROWS):
        expected = ["mtl_sac", "nash_mtl"]
    configured([])  # makes the rows known
    with initialize_config_dir(str(CONFIGS / "mt10"), version_base="1.3"):
        config = compose("train", [f"preset={preset}"], return_hydra_config=True)
    config.hydra.overrides.task = [f"preset={preset}", *given]
    assert config.hydra.sweeper.params.row.split(",") == expected


def test_the_rows_are_the_papers_tables_and_every_other_method() -> None:
    configurations = {row: configured([f"row={row}"]) for row in ROWS}
    for row, (agent, method, options) in ROWS.items():
        config = configurations[row]
        assert config.agent.name == agent and config.method["name"] == method
        assert {key: config.method[key] for key in options} == options
    assert {config.agent.name for config in configurations.values()} == set(AGENTS)
    on_shared = {config.method["name"] for config in configurations.values() if config.agent.name == "mtl_sac"}
    assert on_shared == set(PAPER_METHODS) - {"stl", "si"}
    intervals = [config.method.get("update_weights_every") for config in configurations.values()]
    assert {1, 50, 100} <= set(intervals)


def test_the_paper_preset_is_the_papers_protocol() -> None:
    config = configured(["preset=paper"])
    assert config.profile == "mt10-paper" and config.tasks is None and config.seeds == [0]
    defaults = SACOptions()
    for name in ("width", "layers", "lr", "gamma", "tau", "encoder_tau", "initial_temperature", "batch_per_task"):
        assert getattr(config.sac, name) == getattr(defaults, name), name
    trainer = config.trainer
    assert (trainer.steps, trainer.initial_steps, trainer.initial_updates) == (2_000_000, 1500, 1500)
    assert (trainer.replay_capacity, trainer.reward_scale) == (100_000, 1.0)
    assert (trainer.evaluate_every, trainer.evaluation_episodes) == (30_000, 1)


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_has_a_file(agent: str) -> None:
    assert (CONFIGS / "mt10" / "agent" / f"{agent}.yaml").is_file()
    assert configured([f"agent={agent}"]).agent.name == agent


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["preset=paper"], 1),
        (["preset=quick"], 1),
        (["preset=easy"], 1),
        (["preset=control"], 5),
        (["preset=paper", "profile=mt10-plus"], 10),
        (["preset=paper", "profile=mt10-plus", "trainer.evaluation_episodes=2"], 2),
        (["preset=control", "trainer.evaluation_episodes=null"], 10),
    ],
)
def test_an_evaluation_has_several_episodes_where_they_differ(given: list[str], expected: int) -> None:
    """The number is in the record, so that leaving it out and saying it are one run."""
    config = configured(given)
    assert config.trainer.evaluation_episodes == expected
    said = configured([*given, f"trainer.evaluation_episodes={expected}"])
    assert run_name(asdict(said)) == run_name(asdict(config))


@pytest.mark.parametrize("path", sorted((RESULTS / "mt10").rglob(RECORD)), ids=lambda path: path.parent.name)
def test_the_command_of_a_committed_record_still_names_it(path: Path) -> None:
    """Otherwise a changed default would begin anew what has been run."""
    record = json.loads(path.read_text())
    made = record["config"]
    options = {key: value for key, value in record["method"].items() if key != "name"}
    (row,) = [
        row
        for row, (agent, method, own) in ROWS.items()
        if (agent, method) == (made["agent"]["name"], record["method"]["name"])
        and all(options[key] == value for key, value in own.items())
    ]
    config = asdict(configured([f"preset={made['preset']}", f"row={row}", f"seed={record['seed']}"]))
    assert run_name(config) == record["name"] and protocol_digest(config) == record["protocol"]


def test_cagrad_has_the_c_of_its_own_runs_here_and_else_the_common_options() -> None:
    """So that ``method=cagrad`` and ``row=cagrad`` are one row of the table."""
    by_method, by_row = configured(["method=cagrad"]), configured(["row=cagrad"])
    assert run_name(asdict(by_method)) == run_name(asdict(by_row)) and by_method.method["c"] == 0.9
    assert configured(["agent=care", "method=cagrad"]).method["c"] == 0.9
    common = OmegaConf.to_container(OmegaConf.load(CONFIGS / "method" / "cagrad.yaml"))
    assert isinstance(common, dict) and by_method.method == {**common, "c": 0.9}
