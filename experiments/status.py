"""How the runs stand: ``python -m experiments.status``.

Settings, each as key=value:

  root=runs                   the folder of the runs, all benchmarks or one
  benchmark=null              only this benchmark's
  limit=30                    lines for each state below the counts; 0 for all
  format=text                 or json, one run a line

Finished; running (a living process holds the run); interrupted (none does: repeat its command and it goes on); failed
(it diverged); damaged (its record cannot be read); waiting (announced by a sweep, not begun).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from experiments.common.errors import UserError, exits_cleanly
from experiments.common.options import parse_options
from experiments.reporting.aggregate import existing_root
from experiments.reporting.run_states import STATES, RunState, run_states


@dataclass
class StatusOptions:
    root: str = "runs"
    benchmark: str | None = None
    limit: int = 30
    format: str = "text"


def lines(runs: Sequence[RunState], limit: int) -> list[str]:
    """The counts, then the runs that are not finished, ``limit`` of each state."""
    counts = Counter((run.benchmark, run.state) for run in runs)
    width = max(9, *(len(benchmark) for benchmark, _ in counts))
    table = ["".join([" " * width, *(f"{state:>13}" for state in STATES)])]
    for benchmark in sorted({benchmark for benchmark, _ in counts}):
        table.append("".join([f"{benchmark:<{width}}", *(f"{counts[benchmark, state]:>13}" for state in STATES)]))
    for state in STATES[1:]:
        found = [run for run in runs if run.state == state]
        shown = found if limit == 0 else found[:limit]
        if found:
            table += ["", f"{state}:", *(f"  {_line(run)}" for run in shown)]
        if len(shown) < len(found):
            table.append(f"  and {len(found) - len(shown)} more (limit=0 shows all)")
    left = [run.left for run in runs if run.state == "running" and run.left is not None]
    if left:
        table += ["", f"The last of the running ones ends in about {_duration(max(left))}."]
    return table


def _line(run: RunState) -> str:
    if run.state == "waiting":
        return f"{run.benchmark}: {run.name}"
    parts = [f"{run.benchmark}/{run.name}"]
    if run.total:
        parts.append(f"{run.done}/{run.total} ({run.done / run.total:.0%})")
    if run.seconds:
        parts.append(f"after {_duration(run.seconds)}")
    if run.left is not None:
        parts.append(f"{_duration(run.left)} left")
    return ", ".join(parts) + (f": {run.error}" if run.error else "")


def _duration(seconds: float) -> str:
    minutes, seconds_ = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds_:02}"


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    options = parse_options(StatusOptions, arguments, choices={"format": ["text", "json"]}, description=__doc__)
    root = existing_root(options.root, may_be_missing=None)
    if options.limit < 0:
        raise UserError(f"limit is {options.limit}; give a number of lines, or 0 for all.")
    found = list(run_states(root))
    runs = [run for run in found if options.benchmark in (None, run.benchmark)]
    if found and not runs:
        there = ", ".join(sorted({run.benchmark for run in found}))
        raise UserError(f"{root} has no runs of {options.benchmark}; it has runs of {there}.")
    if options.format == "json":
        print("\n".join(json.dumps(asdict(run)) for run in runs))
    elif not runs:
        print(f"There are no runs in {root}.")
    else:
        print("\n".join(lines(runs, options.limit)))


if __name__ == "__main__":
    main()
