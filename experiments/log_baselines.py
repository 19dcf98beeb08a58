"""Published rows as finished runs of a W&B project: ``python -m experiments.log_baselines benchmark=nyuv2``.

Settings, each as key=value:

  benchmark=nyuv2             whose rows: a file of experiments/published (required)
  project=nash-mtl-suite      the project
  entity=null                 the account or team; null: the account's own
  mode=null                   online, offline, or null for online where there is an account
  later=true                  also rows of later methods and protocols
  out=runs/published          where W&B keeps its files; offline they wait there for `wandb sync`
  timeout_seconds=20          for the service

Every row becomes a run with the results under the keys that the trainers log (result/METRIC, result/delta_m), and
with its source and protocol in its configuration, so that a table of the project has them beside the user's runs.
Repeated, the command renews the same runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from experiments.common.errors import UserError, exits_cleanly
from experiments.common.files import output_folder
from experiments.common.options import parse_options
from experiments.common.published import PAPER, Published, PublishedRow, load_published
from experiments.common.wandb_tracker import log_results, start_run


@dataclass
class BaselineOptions:
    benchmark: str = MISSING
    project: str = "nash-mtl-suite"
    entity: str | None = None
    mode: str | None = None
    later: bool = True
    out: str = "runs/published"
    timeout_seconds: float = 20.0


def baselines(published: Published, later: bool) -> Iterator[dict[str, Any]]:
    """``id``, ``name``, ``config`` and ``results`` of every published row, the paper's single-task row first."""
    reference = published.references[PAPER]
    if not any(row.key == "stl" or row.method.startswith("STL") for row in published.groups[PAPER].rows):
        single = {
            "method": {"name": "stl"},
            "label": "STL",
            "group": PAPER,
            "source": published.cite(reference["source"]),
            "protocol": dict(published.protocols[PAPER]),
        }
        yield _run(published, single, dict(zip(published.metrics, published.reference(), strict=True)), 0.0)
    for name, group in published.groups.items():
        if group.later and not later:
            continue
        for row in group.rows:
            values = dict(zip(published.metrics, row.values, strict=True))
            yield _run(published, _facts(published, name, row), values, row.delta_m)


def _facts(published: Published, group: str, row: PublishedRow) -> dict[str, Any]:
    facts = {
        "method": {"name": row.key or row.method},
        "label": row.method,
        "group": group,
        "source": published.cite(row.source),
        "protocol": dict(published.protocols[row.protocol]),
        "printed_mean_rank": row.mean_rank,
    }
    if row.spread is not None:
        facts["spread"] = dict(zip(published.metrics, row.spread, strict=True))
    if row.known_difference is not None:
        facts["known_difference"] = dict(row.known_difference)
    return facts


def _run(
    published: Published, facts: dict[str, Any], values: dict[str, float], delta_m: float | None
) -> dict[str, Any]:
    known = {name: value for name, value in values.items() if value is not None}
    identity = re.sub(
        r"[^a-z0-9]+", "-", f"published {published.benchmark} {facts['group']} {facts['label']}".lower()
    )
    row = {
        "id": identity.strip("-"),
        "name": f"{facts['label']} (published)",
        "config": {"benchmark": published.benchmark, "published": True, **facts},
        "results": {"metrics": known, "delta_m": delta_m},
    }
    plain: dict[str, Any] = json.loads(json.dumps(row))  # W&B makes text of numbers that know their printed digits
    return plain


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    choices = {"mode": ["online", "offline"]}
    options = parse_options(BaselineOptions, arguments, choices=choices, description=__doc__)
    published = load_published(options.benchmark)
    if not 0 < options.timeout_seconds < float("inf"):
        raise UserError(f"timeout_seconds is {options.timeout_seconds}; expected a positive number.")
    with output_folder(Path(options.out)):
        pass  # that it can be made, before anything is sent
    count = 0
    for row in baselines(published, options.later):
        run = start_run(
            asdict(options),
            Path(options.out),
            id=row["id"],
            name=row["name"],
            config=row["config"],
            group="published",
            job_type="published",
            tags=[published.benchmark, "published"],
            resume="allow",
        )
        log_results(run, {"method": row["config"]["label"]}, row["results"])
        mode = run.settings.mode
        run.finish()
        count += 1
    offline = f"written to {options.out}; `wandb sync {options.out}/wandb/offline-*` sends them"
    where = {"online": "logged", "disabled": "NOT logged (WANDB_MODE=disabled)"}.get(mode, offline)
    print(f"{count} published rows of {published.title} {where} (project {options.project}).")


if __name__ == "__main__":
    main()
