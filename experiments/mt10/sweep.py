"""The rows of the MT10 table as one choice each, ``row=cagrad``, so that one sweep takes them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from experiments.common.sweeps import SweepFiles

#: Agent, method and options by row: the paper's Tables 4 and 5, then the other methods of the shared agent.
ROWS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "stl_sac": ("stl_sac", "ls", {}),
    "mtl_sac": ("mtl_sac", "ls", {}),
    "mtl_sac_te": ("mtl_sac_te", "ls", {}),
    "mh_sac": ("mh_sac", "ls", {}),
    "soft_modularization": ("soft_modularization", "ls", {}),
    "care": ("care", "ls", {}),
    "pcgrad": ("mtl_sac", "pcgrad", {}),
    "cagrad": ("mtl_sac", "cagrad", {"c": 0.9}),  # of CAGrad's own MT10 runs
    "nash_mtl": ("mtl_sac", "nash_mtl", {"update_weights_every": 1}),
    "nash_mtl_50": ("mtl_sac", "nash_mtl", {"update_weights_every": 50}),
    "nash_mtl_100": ("mtl_sac", "nash_mtl", {"update_weights_every": 100}),
    "rlw": ("mtl_sac", "rlw", {}),
    "dwa": ("mtl_sac", "dwa", {}),
    "uw": ("mtl_sac", "uw", {}),
    "mgda": ("mtl_sac", "mgda", {}),
    "graddrop": ("mtl_sac", "graddrop", {}),
    "imtl_g": ("mtl_sac", "imtl_g", {"gradients": "shared"}),
}
NO_ROW = "none"  # agent and method as they are given


class RowSweepFiles(SweepFiles):
    """What a sweep leaves beside its runs, which know a row by its agent, method and options only."""

    def planned(self, runs: list[list[str]]) -> list[list[str]]:
        return [[part for override in run for part in _parts(override)] for run in runs]


def _parts(override: str) -> list[str]:
    key, _, row = override.partition("=")
    if key != "row":
        return [override]
    if row not in ROWS:
        return []
    agent, method, options = ROWS[row]
    return [f"agent={agent}", f"method={method}", *(f"method.{name}={value}" for name, value in options.items())]


def register_rows() -> None:
    """Make ``row=KEY`` known to Hydra, and ``${mt10_rows:OVERRIDES,ROW,…}``, what a preset's sweep goes through.

    These are the given rows, or all; a sweep whose command line names agents, methods or rows takes these instead.
    """
    store = ConfigStore.instance()
    store.store(group="row", name=NO_ROW, node={}, package="_global_")
    for name, (agent, method, options) in ROWS.items():
        defaults = [{"override /agent": agent}, {"override /method": method}]
        node = {"defaults": defaults, **({"method": options} if options else {})}
        store.store(group="row", name=name, node=node, package="_global_")
    OmegaConf.register_new_resolver("mt10_rows", _swept_rows, replace=True)


def _swept_rows(overrides: Sequence[str], *rows: str) -> str:
    chosen = any(override.startswith(("agent=", "method=", "row=")) for override in overrides)
    return NO_ROW if chosen else ",".join(rows or ROWS)
