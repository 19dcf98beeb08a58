"""A search over a setting, such as the paper's over learning rates: what is minimised, and which value is best.

The choice is made from the run records alone, so that it is the same whoever carried the runs out, in however many
attempts. It is by the validation score (Δm or, of a single-task run, its task's error); the test figures of the
chosen runs are only carried along. A benchmark without Δm names what it is searched by in ``results.search_score``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.common.records import digest, identity
from experiments.common.settings import setting, without_setting

LEARNING_RATE = "optimizer.lr"


class Score(NamedTuple):
    """What is minimised, in words, and its value in one run."""

    name: str
    value: float


@dataclass(frozen=True)
class Candidate:
    """One value of the setting: its runs, and the means of their scores over the seeds that are compared.

    ``score``: validation Δm, a single task's validation error, or what the records name; ``None`` where a run is
    missing or has failed. ``test_delta_m``: of the reported epochs, not used for the choice.
    """

    value: Any
    score: float | None
    test_delta_m: float | None
    runs: tuple[str, ...]
    failed: tuple[str, ...]
    unfinished: tuple[str, ...]


@dataclass(frozen=True)
class Choice:
    """The best value for one method: ``value`` is ``None`` where there is nothing to choose by, as ``note`` says.

    ``agent``: MT10's, else ``None``. ``by``: what the scores are.
    """

    method: dict[str, Any]
    agent: str | None
    by: str
    seeds: tuple[int, ...]
    value: Any
    candidates: tuple[Candidate, ...]
    note: str


def is_search() -> bool:
    """Whether this process is a job of a sweeper that wants an objective (Optuna)."""
    from hydra.core.hydra_config import HydraConfig

    return HydraConfig.initialized() and "optuna" in str(HydraConfig.get().sweeper.get("_target_", "")).lower()


def objective(records: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None, split: str) -> float:
    """What a search minimises: the score by which a finished run was selected, or its reported test Δm.

    ``records``: a run's, or those of the seeds that one process trained, whose mean it is. Raises :class:`UserError`
    where a record has no such figure.
    """
    runs = [records] if isinstance(records, Mapping) else list(records or [])
    if not runs or any(run.get("status") != "finished" for run in runs):
        raise UserError(
            "a run of this search is not finished (another process may be at it); repeat the command when it is."
        )
    scores = [_score(run, split) for run in runs]
    for run, score in zip(runs, scores, strict=True):
        if score is None:
            raise UserError(f"run {run['name']} has no {split} figure that a search could minimise.")
    return fmean(score.value for score in scores if score is not None)


def _score(record: Mapping[str, Any], split: str) -> Score | None:
    if split == "test":
        results = record["results"]
        if results.get("delta_m") is not None:
            return Score(split, float(results["delta_m"]))
        return Score(**results["search_score"]) if "search_score" in results else None
    best = record["epochs"][record["best_epoch"] or 0] if record["epochs"] else {}
    return Score(split, float(best["score"])) if split in best else None


def choose(
    records: Iterable[Mapping[str, Any]], over: str = LEARNING_RATE, split: str = "validation"
) -> list[Choice]:
    """For every method (with its options, and all else equal) that was run with several values of ``over``, the best.

    Values are compared on the seeds that all of them have finished; where a value diverged for one of those seeds
    it is out. ``split``: ``validation``, or ``test`` for a benchmark that has no other.
    """
    families: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        settings = identity(record["config"])
        if setting(settings, over) is not None:
            families.setdefault(digest({**without_setting(settings, over), "seed": None}), []).append(record)
    choices = []
    for family in families.values():
        by_value: dict[Any, list[Mapping[str, Any]]] = {}
        for record in family:
            value = setting(record["config"], over)
            key = value if isinstance(value, str | int | float) else json.dumps(value)
            by_value.setdefault(key, []).append(record)
        if len(by_value) > 1:
            choices.append(_choice(by_value, split))
    return sorted(choices, key=lambda choice: json.dumps(choice.method, sort_keys=True))


def _choice(by_value: Mapping[Any, Sequence[Mapping[str, Any]]], split: str) -> Choice:
    ended = {
        value: {r["seed"] for r in runs if r["status"] in ("finished", "failed")} for value, runs in by_value.items()
    }
    seeds = set.intersection(*ended.values())
    candidates = [_candidate(value, runs, seeds, split) for value, runs in sorted(by_value.items(), key=_order)]
    scored = [candidate for candidate in candidates if candidate.score is not None]
    note, best = "", None
    if not seeds:
        note = "no seed is finished for all values yet"
    elif not scored:
        note = f"no value has {split} scores"
    else:
        best = min(scored, key=lambda candidate: (candidate.score, candidate.value)).value
    runs = [run for family in by_value.values() for run in family]
    known = [score for run in runs if run["status"] == "finished" and (score := _score(run, split)) is not None]
    return Choice(
        method=dict(runs[0]["method"]),
        agent=runs[0]["config"].get("agent", {}).get("name"),
        by=known[0].name if known else split,
        seeds=tuple(sorted(seeds)),
        value=best,
        candidates=tuple(candidates),
        note=note,
    )


def _candidate(value: Any, runs: Sequence[Mapping[str, Any]], seeds: set[int], split: str) -> Candidate:
    compared = [run for run in runs if run["seed"] in seeds]
    finished = [run for run in compared if run["status"] == "finished"]
    scores = [_score(run, split) for run in finished]
    known = [score.value for score in scores if score is not None]
    complete = bool(compared) and len(known) == len(compared)
    deltas = [run["results"].get("delta_m") for run in finished]
    tests = [delta_m for delta_m in deltas if delta_m is not None]
    return Candidate(
        value=value,
        score=fmean(known) if complete else None,
        test_delta_m=fmean(tests) if complete and tests else None,
        runs=tuple(run["name"] for run in finished),
        failed=tuple(run["name"] for run in runs if run["status"] == "failed"),
        unfinished=tuple(run["name"] for run in runs if run["status"] not in ("finished", "failed")),
    )


def write_choices(path: Path, choices: Sequence[Choice], over: str, split: str) -> None:
    """Write the choices as JSON, atomically; raises :class:`UserError` if the disk does not take it."""
    content = {"over": over, "split": split, "choices": [asdict(choice) for choice in choices]}
    try:
        write_json(path, content)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free space or choose another place.") from error


def describe(choices: Sequence[Choice], over: str) -> str:
    """The choices as a text table, one line a method."""
    lines = []
    for choice in choices:
        task = choice.method.get("main_task")
        name = " ".join(filter(None, [choice.agent, choice.method["name"], None if task is None else f"task {task}"]))
        scores = ", ".join(
            f"{_text(c.value)}: {'diverged' if c.failed else '?' if c.score is None else f'{c.score:.2f}'}"
            for c in choice.candidates
        )
        best = "nothing chosen" if choice.value is None else f"{over}={_text(choice.value)}"
        seeds = ", ".join(map(str, choice.seeds))
        seeds = f"seed{'s' if len(choice.seeds) > 1 else ''} {seeds}" if choice.seeds else choice.note
        lines.append(f"{name}: {best} by {choice.by} ({scores}; {seeds})")
    return "\n".join(lines)


def _order(item: tuple[Any, Any]) -> tuple[bool, Any]:
    """Numbers before text."""
    return isinstance(item[0], str), item[0]


def _text(value: Any) -> str:
    return str(value) if isinstance(value, str | bool) else f"{value:g}"
