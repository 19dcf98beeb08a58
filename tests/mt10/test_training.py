"""Training runs: every method learns the control problem, they repeat themselves, and their records add up."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest
import torch

from experiments.common.errors import UserError
from experiments.mt10.agents import AGENTS
from experiments.mt10.control import ControlEnvironment
from experiments.mt10.loop import Schedule
from experiments.mt10.policy import POLICY, load_policy
from experiments.mt10.sweep import ROWS
from tests.mt10.runs import numbers, records, run, run_one, small

SHARED_ROWS = [row for row, (agent, _, options) in ROWS.items() if agent == "mtl_sac" and row != "nash_mtl_100"]


@pytest.mark.parametrize("row", SHARED_ROWS)
def test_every_method_solves_the_control_problem(row: str, tmp_path: Path) -> None:
    """A random policy succeeds in less than one episode of twenty (see the control problem's own test)."""
    overrides = [f"row={row}", "tasks=[east,north,west]", "trainer.steps=600", "trainer.initial_steps=60"]
    overrides += [
        "trainer.evaluate_every=600",
        "trainer.evaluation_episodes=5",
        "sac.width=64",
        "sac.batch_per_task=16",
    ]
    results = run_one(small(tmp_path, *overrides))["results"]
    assert results["last"]["success"] >= 0.9, results
    assert min(value for name, value in results["last"].items() if name.startswith("success/")) >= 0.6


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_trains(agent: str, tmp_path: Path) -> None:
    record = run_one(small(tmp_path, f"agent={agent}"))
    assert record["status"] == "finished" and record["name"].startswith(f"{agent}-")
    assert record["method"]["name"] == ("nash_mtl" if agent == "mtl_sac" else "ls")
    losses = record["epochs"][-1]["train_losses"]
    assert set(losses) == {f"{part}/{task}" for part in ("critic", "actor") for task in ("east", "north")}
    assert all(map(math.isfinite, losses.values()))
    assert record["data"]["parameters"]["actor"] > 0


def test_the_record_adds_up(tmp_path: Path) -> None:
    record = run_one(small(tmp_path, "method.update_weights_every=3", "trainer.steps=90"))
    entries = record["epochs"]
    assert [entry["step"] for entry in entries] == [20, 40, 60, 80, 90]
    assert [entry["updates"] for entry in entries] == [0, 10, 30, 50, 60]
    assert entries[0]["train_losses"] == {} and entries[0]["weights"] is None
    assert [entry["train"]["episodes"] for entry in entries] == [1, 1, 1, 1, 0]
    statuses = entries[2]["solver_statuses"]
    for part in ("critic", "actor"):
        counts = [number for status, number in statuses.items() if status.startswith(part)]
        assert sum(counts) == 20 and statuses[f"{part}/reused"] in (13, 14), "each part counts its own steps"
    successes = [entry["test"]["success"] for entry in entries]
    for entry in entries:
        tasks = [entry["test"][f"success/{task}"] for task in ("east", "north")]
        assert entry["test"]["success"] == fmean(tasks) and set(tasks) <= {0.0, 1.0}
    results = record["results"]
    assert results["metrics"]["success"] == max(successes) and results["epoch"] == successes.index(max(successes))
    assert results["last"] == {"step": 90, **entries[-1]["test"]}
    assert results["mean_of_last_10"]["success"] == pytest.approx(fmean(successes))
    assert results["seconds_per_episode"] > 0
    assert record["wall_seconds"] >= sum(entry["seconds"] for entry in entries) - 1e-9
    assert record["data"]["synthetic"] and record["data"]["profile"] == "control"


def test_the_same_seed_repeats_every_number(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = run_one(small(tmp_path / "a", "method=rlw", "seed=3"))
    torch.manual_seed(2)
    again, other = (run_one(small(tmp_path / f"b{seed}", "method=rlw", f"seed={seed}")) for seed in (3, 4))
    assert numbers(first) == numbers(again)
    assert first["epochs"][-1]["train_losses"] != other["epochs"][-1]["train_losses"]
    assert first["protocol"] == other["protocol"] and first["name"] != other["name"]


def test_seeds_side_by_side_have_a_record_each_and_their_own_numbers(tmp_path: Path) -> None:
    together = run(small(tmp_path / "together", "seed=3", "run.seeds_together=2"))
    assert [record["seed"] for record in together] == [3, 4]
    assert [record["config"]["seed"] for record in together] == [3, 4]
    for seed, record in zip((3, 4), together, strict=True):
        alone = run_one(small(tmp_path / "alone", f"seed={seed}"))
        assert alone["name"] == record["name"], "how a run is done is not what it is"
        assert record["results"]["seeds_together"] == 2 and record["data"]["seeds_together"] == [3, 4]
        for ours, theirs in zip(record["epochs"], alone["epochs"], strict=True):
            assert ours["train_losses"] == pytest.approx(theirs["train_losses"], rel=1e-3), "to rounding"
            assert ours["train"] == pytest.approx(theirs["train"], rel=1e-3)


def test_finished_seeds_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run_one(small(tmp_path, "seed=4"))
    both = run(small(tmp_path, "seed=3", "run.seeds_together=2"))
    assert capsys.readouterr().out.count("is finished, skipped") == 1
    assert both[1] == first and both[0]["data"]["seeds_together"] == [3]
    assert len(records(tmp_path)) == 2


def test_a_critic_that_is_not_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = ControlEnvironment.step

    def broken(self: ControlEnvironment, actions: np.ndarray) -> Any:
        step = original(self, actions)
        step.rewards[0, 1] = np.nan
        return step

    monkeypatch.setattr(ControlEnvironment, "step", broken)
    with pytest.raises(UserError, match=r"failed at step 31 of 80: the critic .* seed 0 task north.* lower sac\.lr"):
        run(small(tmp_path))
    (record,) = records(tmp_path)
    assert record["status"] == "failed" and "the critic loss is not finite" in record["error"]


def test_the_policy_of_a_finished_run_acts_as_at_its_end(tmp_path: Path) -> None:
    record = run_one(small(tmp_path, "agent=mtl_sac_te", "trainer.evaluation_episodes=3"))
    (path,) = tmp_path.rglob(POLICY)
    assert not any(name.startswith("critic.") for name in torch.load(path, weights_only=True))
    environment = ControlEnvironment(tasks=("east", "north"), evaluation=True)
    learner = load_policy(path.parent, record, environment)
    episodes = len(record["epochs"]) * 3
    returns = []
    for _ in range(episodes):
        observations, total = environment.reset(), np.zeros((1, 2))
        for _ in range(environment.horizon):
            actions = learner.act(torch.from_numpy(observations), deterministic=True)
            step = environment.step(actions.numpy())
            observations, total = step.observations, total + step.raw_rewards
        returns.append(total[0])
    last = np.mean(returns[-3:], axis=0)
    test = record["epochs"][-1]["test"]
    assert last.tolist() == pytest.approx([test["return/east"], test["return/north"]])


def test_what_is_due_follows_from_the_step() -> None:
    schedule = Schedule(
        steps=100,
        initial_steps=30,
        initial_updates=7,
        batch_per_task=4,
        reward_scale=1.0,
        evaluate_every=40,
        evaluation_episodes=1,
        checkpoint_every=25,
    )
    assert [schedule.updates_due(step) for step in (0, 29, 30, 31, 100)] == [0, 0, 7, 8, 77]
    assert [step for step in range(101) if schedule.evaluation_due(step)] == [40, 80, 100]
    assert [step for step in range(101) if schedule.checkpoint_due(step)] == [25, 50, 75, 100]


def test_initial_updates_are_made_at_once_and_rewards_are_scaled(tmp_path: Path) -> None:
    plain, burst, scaled = (
        run_one(small(tmp_path, f"trainer.{changed}"))
        for changed in ("initial_updates=0", "initial_updates=12", "reward_scale=3")
    )
    assert [e["updates"] for e in burst["epochs"]] == [0, 22, 42, 62]
    first, tripled = plain["epochs"][0], scaled["epochs"][0]
    assert first["train"] == tripled["train"] and first["test"] == tripled["test"], "returns are recorded as they are"
    assert plain["epochs"][1]["train_losses"] != scaled["epochs"][1]["train_losses"]
