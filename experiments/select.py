"""Choose a learning rate, or another setting, from finished runs: ``python -m experiments.select benchmark=qm9``.

Settings, each as key=value:

  benchmark=qm9               which benchmark (required)
  root=runs                   where the run records are
  over=optimizer.lr           the setting to choose
  split=validation            by whose Δm; test only where there is no validation split, and to be told
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


@dataclass
class SelectOptions:
    benchmark: str = MISSING
    root: str = "runs"
    over: str = LEARNING_RATE
    split: str = "validation"
    out: str | None = None


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    choices_of = {"benchmark": list(BENCHMARKS), "split": ["validation", "test"]}
    options = parse_options(SelectOptions, arguments, choices=choices_of, description=__doc__)
    records = [record for _, record in find_records(Path(options.root), options.benchmark)]
    choices = choose(records, options.over, options.split)
    if not choices:
        raise UserError(
            f"{options.root} has no {options.benchmark} runs with several values of {options.over}; make some with "
            f"`python -m experiments.{options.benchmark}.train -m sweep=learning_rate method=nash_mtl seed=0`."
        )
    print(describe(choices, options.over, options.split))
    if options.out is not None:
        write_choices(Path(options.out), choices, options.over, options.split)


if __name__ == "__main__":
    main()
