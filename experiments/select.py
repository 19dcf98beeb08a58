"""Choose a learning rate, or another setting, from finished runs: ``python -m experiments.select benchmark=qm9``.

Settings, each as key=value:

  benchmark=qm9               which benchmark (required)
  root=runs                   where the run records are
  over=null                   the setting to choose; null: the learning rate (what the runs have as search.over)
  split=null                  by whose Δm: validation, or test where there is nothing else, which is to be told;
                              null: what the runs have as search.split
  out=null                    where to write the choice as JSON; null: nowhere

For every method that was run with several values, the value of the best mean score over the seeds that all values
have. A sweep over the learning rate writes the same choice to search.json beside its runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError, exits_cleanly
from experiments.common.options import parse_options
from experiments.common.records import find_records
from experiments.common.search import LEARNING_RATE, choose, describe, write_choices
from experiments.reporting.aggregate import existing_root


@dataclass
class SelectOptions:
    benchmark: str = MISSING
    root: str = "runs"
    over: str | None = None
    split: str | None = None
    out: str | None = None


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    choices_of = {"benchmark": list(BENCHMARKS), "split": ["validation", "test"]}
    options = parse_options(SelectOptions, arguments, choices=choices_of, description=__doc__)
    records = [record for _, record in find_records(existing_root(options.root), options.benchmark)]
    own = records[0]["config"].get("search", {}) if records else {}
    over, split = options.over or own.get("over", LEARNING_RATE), options.split or own.get("split", "validation")
    choices = choose(records, over, split)
    if not choices:
        raise UserError(
            f"{options.root} has no {options.benchmark} runs with several values of {over}; make some with "
            f"`python -m experiments.{options.benchmark}.train -m sweep=learning_rate method=nash_mtl seed=0`."
        )
    print(describe(choices, over))
    if options.out is not None:
        write_choices(Path(options.out), choices, over, split)


if __name__ == "__main__":
    main()
