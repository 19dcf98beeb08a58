"""Runs killed at random moments end with an unbroken run's numbers: ``python -m reliability.kills``.

Settings, each as key=value:

  trainer=all     or one of reliability.trainers, such as qm9
  runs=20         how many runs, each killed one to three times and then resumed to its end
  signal=KILL     or TERM or INT: what a run is sent; the time until it has left is printed for those two
  seed=0          of the draws: methods, kinds of moment and moments

Half of the kills come at a random time, half as soon as the n-th temporary file is seen, so that they fall into the
writing of a checkpoint or a record. Afterwards the record must be the unbroken run's but for its times, bit for bit,
and nothing else may be left in the folder.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from experiments.common.checkpoint import CURRENT, PREVIOUS
from experiments.common.errors import exits_cleanly
from experiments.common.options import parse_options
from reliability.runs import finish, leftovers, numbers, read_records, start
from reliability.trainers import TRAINERS, Trainer


@dataclass
class Settings:
    trainer: str = "all"
    runs: int = 20
    signal: str = "KILL"
    seed: int = 0


@dataclass
class Outcome:
    """One run: where its kills landed, the seconds that each took to end it, and what is wrong with its end."""

    method: str
    landed: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def check_kills(
    trainer: Trainer,
    runs: int,
    seed: int,
    folder: Path,
    number: signal.Signals = signal.SIGKILL,
    unbroken: dict[str, tuple[dict[str, Any], float]] | None = None,
) -> list[Outcome]:
    """Carry out ``runs`` broken runs below ``folder``; the methods take turns.

    ``unbroken`` keeps, by method, what a run gives without a break and the seconds it takes, for further calls with
    the same folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    given = [*trainer.tiny, *trainer.data(folder)]
    unbroken = {} if unbroken is None else unbroken
    outcomes = []
    for i in range(runs):
        method = list(trainer.methods)[i % len(trainer.methods)]
        arguments = [*given, *trainer.methods[method]]
        if method not in unbroken:
            unbroken[method] = unbroken_run(trainer, arguments, folder, method)
        expected, seconds = unbroken[method]
        outcomes.append(
            _broken(trainer, arguments, folder, f"{number.name}-{seed}-{i}-{method}", expected, seconds, number, draw)
        )
        outcomes[-1].method = method
    return outcomes


def unbroken_run(trainer: Trainer, arguments: list[str], folder: Path, name: str) -> tuple[dict[str, Any], float]:
    """The numbers of a run without a break, and the seconds that a run takes once its data is there."""
    root, log = folder / f"unbroken-{name}", folder / "log"
    for checkpoints in (
        "run.checkpoint_every=0",
        "run.checkpoint_every=1",
    ):  # the second run is the one that is timed
        started = time.monotonic()
        status = finish(
            start(trainer.module, [*arguments, f"run.root={root}-{checkpoints[-1]}", checkpoints], log, cwd=folder)
        )
        if status != 0:
            raise AssertionError(f"an unbroken run ended with status {status}: {log.read_text()[-2000:]}")
        seconds = time.monotonic() - started
    plain, often = (numbers(read_records(Path(f"{root}-{n}"))[0]) for n in (0, 1))
    if plain != often:
        raise AssertionError(f"{name}: two unbroken runs differ, so that there is nothing to compare with")
    return plain, seconds


def _broken(
    trainer: Trainer,
    arguments: list[str],
    folder: Path,
    name: str,
    expected: dict[str, Any],
    seconds: float,
    number: signal.Signals,
    draw: random.Random,
) -> Outcome:
    root, log = folder / name, folder / f"{name}.log"
    arguments = [*arguments, f"run.root={root}"]
    outcome = Outcome(name)
    wanted, attempts = draw.randint(1, 3), 0
    while len(outcome.landed) < wanted and attempts < 20:
        attempts += 1
        process = start(trainer.module, arguments, log, cwd=folder)
        if draw.random() < 0.5:
            process.join(draw.uniform(0.0, seconds))
        else:
            _until_nth_write(process, root, draw.randint(1, 9), seconds)
        if process.is_alive():
            assert process.pid is not None
            sent = time.monotonic()
            os.kill(process.pid, number)
            status = finish(process)
            if status not in (-number, 128 + number, 0):
                outcome.faults.append(f"status {status} after {number.name}: {log.read_text()[-500:]}")
            if status != 0:
                outcome.landed.append(_where(root))
                outcome.seconds.append(time.monotonic() - sent)
        elif any(record["status"] == "finished" for record in read_records(root)) and not outcome.landed:
            for path in sorted(root.rglob("*"), reverse=True):  # it was through before it could be killed: once more
                path.unlink() if path.is_file() else path.rmdir()
    if (status := finish(start(trainer.module, arguments, log, cwd=folder))) != 0:
        outcome.faults.append(f"the resumed run ended with status {status}: {log.read_text()[-500:]}")
    outcome.faults += faults(root, expected)
    return outcome


def faults(root: Path, expected: dict[str, Any]) -> list[str]:
    """What distinguishes the one finished run below ``root`` from the unbroken one."""
    found = read_records(root)
    if len(found) != 1:
        return [f"{len(found)} records instead of one"]
    wrong = []
    epochs = [entry["epoch"] for entry in found[0]["epochs"]]
    if epochs != list(range(len(expected["epochs"]))):
        wrong.append(f"the record's epochs are {epochs}")
    ours = numbers(found[0])
    if ours != expected:
        differ = [key for key in {**ours, **expected} if ours.get(key) != expected.get(key)]
        wrong.append(f"the numbers are not the unbroken run's: {', '.join(differ)}")
    if left := leftovers(root):
        wrong.append(f"{', '.join(sorted(left))} left behind")
    return wrong


def _until_nth_write(process: Any, root: Path, n: int, seconds: float) -> None:
    """Return at the sight of the ``n``-th temporary file of a run, or when it is over."""
    seen: set[str] = set()
    deadline = time.monotonic() + 10 * seconds
    while process.exitcode is None and time.monotonic() < deadline:
        for folder in root.iterdir() if root.is_dir() else ():
            seen.update(name for name in os.listdir(folder) if name.endswith(".tmp"))
        if len(seen) >= n:
            return


def _where(root: Path) -> str:
    """What the run was doing when it was killed, as far as its folder shows."""
    names = {path.name for path in root.rglob("*") if path.is_file()}
    temporary = [name for name in names if name.endswith(".tmp")]
    if any("checkpoint" in name for name in temporary):
        return "writing a checkpoint"
    if temporary:
        return "writing a record"
    if ".checkpoint.new" in names or (PREVIOUS in names and CURRENT not in names):
        return "renaming checkpoints"
    return "between writes" if CURRENT in names else "before the first checkpoint"


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    choices = {"trainer": ("all", *TRAINERS), "signal": ("KILL", "TERM", "INT")}
    settings = parse_options(Settings, arguments, choices=choices, description=__doc__)
    names = list(TRAINERS) if settings.trainer == "all" else [settings.trainer]
    number = signal.Signals[f"SIG{settings.signal}"]
    broken = 0
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = check_kills(TRAINERS[name], settings.runs, settings.seed, Path(folder), number)
        landed = Counter(place for outcome in outcomes for place in outcome.landed)
        wrong = [outcome for outcome in outcomes if outcome.faults]
        broken += len(wrong)
        places = ", ".join(f"{count} {place}" for place, count in landed.most_common())
        print(f"{name}: {len(outcomes)} runs, {landed.total()} times {number.name} ({places}); {len(wrong)} wrong")
        if number != signal.SIGKILL:
            print(f"{name}: gone after {max(s for o in outcomes for s in o.seconds):.2f} s at most")
        for outcome in wrong:
            print(f"  {outcome.method}: {'; '.join(outcome.faults)}")
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
