"""The rows of the MT10 tables: runs of one protocol, grouped by agent, method and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.common.names import METHOD_NAMES
from experiments.reporting.aggregate import Run, method_id, option_labels

#: Agents as the paper prints them, in the order of its Table 4.
AGENT_NAMES = {
    "stl_sac": "STL SAC",
    "mtl_sac": "MTL SAC",
    "mtl_sac_te": "MTL SAC + TE",
    "mh_sac": "MH SAC",
    "soft_modularization": "SM",
    "care": "CARE",
}
#: The agent that the paper's multi-task optimisation methods train.
SHARED = "mtl_sac"
#: The method that is no method: plain SAC on the sum of the losses.
PLAIN = "ls"


@dataclass(frozen=True)
class MT10Row:
    """Finished runs of one agent and method, one a seed."""

    label: str
    agent: str
    method: dict[str, Any]
    runs: tuple[Run, ...]

    @property
    def competes(self) -> bool:
        """Whether the row may be marked best: single-task networks are the upper reference."""
        return self.agent != "stl_sac"

    def outcomes(self) -> list[dict[str, Any]]:
        """``results`` of the records, in the order of the seeds."""
        return [run.record["results"] for run in self.runs]


@dataclass(frozen=True)
class MT10Protocol:
    """Runs that may share a table. ``name`` is the digest; ``left_out`` pairs its other runs with a reason."""

    name: str
    digest: str
    config: dict[str, Any]
    data: dict[str, Any]
    rows: tuple[MT10Row, ...]
    left_out: tuple[tuple[Run, str], ...]

    @property
    def used(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]


def mt10_protocols(runs: Sequence[Run]) -> list[MT10Protocol]:
    """Runs grouped by protocol, those without a finished run left out, in the order of the protocols' digests."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.record["protocol"], []).append(run)
    return [_protocol(name, group) for name, group in sorted(groups.items()) if any(run.finished for run in group)]


def _protocol(name: str, runs: list[Run]) -> MT10Protocol:
    labels = option_labels(run.record["method"] for run in runs)
    left_out = [(run, run.record["status"]) for run in runs if not run.finished]
    kept: dict[tuple[str, int], Run] = {}
    for run in sorted((run for run in runs if run.finished), key=lambda run: str(run.record["finished"])):
        slot = (_label(run, labels), run.record["seed"])
        if slot in kept:
            left_out.append((kept[slot], f"the same run finished later in {run.path.parent}"))
        kept[slot] = run
    by_label: dict[str, list[Run]] = {}
    for (label, _), run in sorted(kept.items(), key=lambda item: item[0][1]):
        by_label.setdefault(label, []).append(run)
    rows = [
        MT10Row(label, group[0].record["config"]["agent"]["name"], group[0].record["method"], tuple(group))
        for label, group in by_label.items()
    ]
    witness = rows[0].runs[0].record
    return MT10Protocol(
        name=name,
        digest=name,
        config=witness["config"],
        data=witness["data"],
        rows=tuple(sorted(rows, key=_order)),
        left_out=tuple(left_out),
    )


def _label(run: Run, labels: dict[str, str]) -> str:
    """The paper's name of a row: the agent's for plain SAC, the method's on the shared agent, else both."""
    agent, method = run.record["config"]["agent"]["name"], run.record["method"]
    name = AGENT_NAMES.get(agent, agent)
    if method["name"] == PLAIN:
        return name
    label = labels[method_id(method)].replace("update_weights_every=", "every ")
    return label if agent == SHARED else f"{name} + {label}"


def _order(row: MT10Row) -> tuple[int, int, int, str]:
    """Plain agents first, as in Table 4, then the methods in their order, Nash-MTL by its interval."""
    agents, methods = list(AGENT_NAMES), list(METHOD_NAMES)
    agent = agents.index(row.agent) if row.agent in agents else len(agents)
    name = row.method["name"]
    method = methods.index(name) if name in methods else len(methods)
    plain = 0 if name == PLAIN else 1 + method
    return (plain, agent, row.method.get("update_weights_every", 1), row.label)
