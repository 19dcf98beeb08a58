"""What a run logs: the keys of docs/tracking.md, as every other trainer; at its end the results and a picture."""

from __future__ import annotations

import csv
import importlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.common.config import CONFIGS
from experiments.common.records import RECORD
from experiments.common.tracking import NoTracker, flat_metrics
from experiments.mt10 import train as trainer
from experiments.mt10.run_pictures import draw_run, run_pictures
from experiments.mt10.sums import Sums
from reliability.trainers import TRAINERS
from tests.command_line import outcome
from tests.mt10.made_up import record as made_up
from tests.mt10.runs import command, run, run_one, small

DOCUMENTED = re.findall(
    r"`([a-z_]+(?:/[A-Za-z_]+)*)`",
    "".join(
        line.split("|")[1]
        for line in (CONFIGS.parent / "docs" / "tracking.md").read_text().splitlines()
        if line[:3] == "| `"
    ),
)
#: Where a benchmark's names stand; MT10's tasks and metrics have a slash in them.
NAMES = {"TASK": ".+", "METRIC": ".+", "STATUS": ".+", "NAME": ".+"}
#: MT10 has no Δm; it and the scenes have no validation split.
NOT_EVERYWHERE = {"validation/METRIC", "result/delta_m"}


def pattern(key: str) -> str:
    return "/".join(NAMES.get(part, part) for part in key.split("/"))


def documented_as(key: str) -> str | None:
    """The documented key of a logged one; MT10's networks, ``critic`` and ``actor``, have each their own."""
    common = re.sub(r"^gramian/(critic|actor)/", "gramian/", key)
    return common if common in DOCUMENTED else next((k for k in DOCUMENTED if re.fullmatch(pattern(k), common)), None)


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def read_one(root: Path, name: str) -> list[dict[str, str]]:
    (path,) = root.rglob(name)
    return rows(path)


@pytest.mark.parametrize("benchmark", TRAINERS)
def test_every_trainer_logs_the_documented_keys_and_no_others(
    benchmark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    tested = TRAINERS[benchmark]
    monkeypatch.chdir(tmp_path)
    tiny = [override for override in tested.tiny if not override.startswith("logger")]
    arguments = [*tiny, *tested.data(tmp_path), "method=nash_mtl", "logger=csv", f"run.root={tmp_path / 'runs'}"]
    status, _, err = outcome(importlib.import_module(tested.module).main, arguments, monkeypatch, capsys)
    assert status == 0 and not err, err
    logged = {key for row in read_one(tmp_path, "metrics.csv") for key in row} - {"epoch"}
    (results,) = read_one(tmp_path, "results.csv")
    logged |= {f"result/{key}" for key in results}
    logged |= {f"pictures/{path.parent.name}" for path in tmp_path.rglob("pictures/*/*.png")}
    assert {key for key in logged if documented_as(key) is None} == set()
    pictures = set() if benchmark == "qm9" else {"pictures/NAME"}
    expected = set(DOCUMENTED) - NOT_EVERYWHERE - {"pictures/NAME"} | pictures
    assert {documented_as(key) for key in logged} >= expected


def test_a_run_logs_its_speed_and_both_networks_gramians(tmp_path: Path) -> None:
    record = run_one(small(tmp_path, "logger=csv", "method=nash_mtl", "method.update_weights_every=3"))
    logged = rows(tmp_path / record["name"] / "metrics.csv")
    entries = record["epochs"]
    assert [entry["steps"] for entry in entries] == [20, 20, 20, 20], "steps since the evaluation before"
    assert [entry["samples"] for entry in entries] == [0, 80, 160, 160], "two tasks, four of each, an update"
    for row, entry in zip(logged, entries, strict=True):
        assert float(row["speed/steps_per_second"]) == pytest.approx(20 / entry["train_seconds"])
        assert 0 < entry["train_seconds"] < entry["seconds"]
    for network in ("critic", "actor"):
        means = [float(row[f"gramian/{network}/smallest_eigenvalue"] or "nan") for row in logged]
        largest = [float(row[f"gramian/{network}/largest_eigenvalue"] or "nan") for row in logged]
        cosines = [float(row[f"gramian/{network}/smallest_cosine"] or "nan") for row in logged]
        assert np.isnan(means[0]) and all(0 <= s < most for s, most in zip(means[1:], largest[1:], strict=True))
        assert all(-1 <= cosine <= 1 for cosine in cosines[1:])
    assert logged[1].keys() >= flat_metrics(entries[1]).keys()


def test_methods_without_gramians_log_none(tmp_path: Path) -> None:
    record = run_one(small(tmp_path, "logger=csv", "method=ls"))
    assert all(entry["gramian"] == {} for entry in record["epochs"])
    assert not any(key.startswith("gramian") for key in rows(tmp_path / record["name"] / "metrics.csv")[0])


def test_the_gramians_means_are_of_each_seeds_own_and_of_every_solution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the Gramians as the methods saw them."""
    seen: list[tuple[Any, Any]] = []
    original = Sums.add_update

    def noted(self: Sums, diagnostics: Any, samples: int) -> None:
        seen.append(tuple(d.diagnostics["gramian"].clone().numpy() for d in diagnostics["critic_steps"]))
        original(self, diagnostics, samples)

    monkeypatch.setattr(Sums, "add_update", noted)
    captured = ["sac.capture=graph", "trainer.evaluate_every=80"]  # its results lie in memory that is used again
    both = run(small(tmp_path, "method=mgda", "run.seeds_together=2", *captured))
    for index, record in enumerate(both):
        (entry,) = record["epochs"]
        eigenvalues = np.array([np.linalg.eigvalsh(gramians[index]) for gramians in seen])
        means = [entry["gramian"][f"critic/{which}_eigenvalue"] for which in ("smallest", "largest")]
        np.testing.assert_allclose(means, eigenvalues.mean(axis=0)[[0, -1]], rtol=1e-6, atol=1e-12)


def test_results_are_those_of_the_record(tmp_path: Path) -> None:
    record = run_one(small(tmp_path, "logger=csv"))
    results, (logged,) = record["results"], rows(tmp_path / record["name"] / "results.csv")
    assert float(logged["success"]) == results["metrics"]["success"] and int(logged["epoch"]) == results["epoch"]
    assert float(logged["success/north"]) == results["metrics"]["success/north"]
    for name in ("best", "last", "mean_of_last_10"):
        assert float(logged[name]) == results[name]["success"]
    assert float(logged["search_score"]) == results["search_score"]["value"] and "delta_m" not in logged


def test_tensorboard_takes_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    status, _, err = command(small(tmp_path, "logger=tensorboard"), monkeypatch, capsys)
    assert status == 0 and not err
    (record,) = (json.loads(path.read_text()) for path in tmp_path.rglob(RECORD))
    events = accumulators.EventAccumulator(str(tmp_path / record["name"] / "tensorboard"))
    events.Reload()
    (best,) = events.Scalars("result/success")
    assert (best.step, best.value) == (record["results"]["epoch"], record["results"]["metrics"]["success"])
    assert [event.step for event in events.Scalars("speed/steps_per_second")] == [0, 1, 2, 3]
    assert len(events.Images("pictures/learning_curves")) == 1
    assert b"| success |" in events.Tensors("results/text_summary")[0].tensor_proto.string_val[0]


def test_a_run_that_fails_ends_with_its_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    class Last(NoTracker):
        said: list[dict[str, Any]] = []  # noqa: RUF012

        def finish(self, results: dict[str, Any]) -> None:
            self.said.append(results)

    monkeypatch.setattr(trainer, "open_tracker", lambda *_: Last())
    assert command(small(tmp_path, "sac.lr=1e30"), monkeypatch, capsys)[0] == 1
    assert Last.said == [{"status": "failed"}]


def test_the_picture_shows_the_mean_and_every_task() -> None:
    successes = [[0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]
    made = made_up("mtl_sac", {"name": "ls"}, successes, n_tasks=4)
    tasks, entries = made["data"]["tasks"], made["epochs"]
    figure = draw_run(made["name"], tasks, entries)
    mean, by_task = figure.axes
    steps, means = (list(values) for values in mean.lines[0].get_data())
    assert steps == [1000, 2000, 3000] and means == [0.5, 1.0, 0.5]
    (mesh,) = by_task.collections
    values = mesh.get_array()
    assert values is not None
    np.testing.assert_array_equal(np.reshape(values, (4, 3)), np.array([[0, 1, 1], [1, 1, 0]] * 2))
    assert [label.get_text() for label in by_task.get_yticklabels()] == tasks
    pixels = run_pictures(made["name"], tasks, entries)["learning_curves"]
    assert pixels.dtype == np.uint8 and pixels.ndim == 3
