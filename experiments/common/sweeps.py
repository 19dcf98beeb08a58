"""What a sweep leaves beside its runs: the plan, by which ``experiments.status`` knows what waits, and its choice.

Both are Hydra's callbacks around a multirun, carried out by the process that launches it, whatever the launcher.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from experiments.common.files import write_json
from experiments.common.overrides import fits
from experiments.common.progress import tell
from experiments.common.records import PLANS, digest, find_records, now
from experiments.common.search import choose, describe, write_choices

CHOICES = "search.json"
_NOT_IDENTITY = ("run.", "logger", "sweep", "search", "hydra", "data.root")  # overrides that name no other run


class SweepFiles(Callback):
    """Write ``sweeps/DIGEST.json`` before a sweep, and ``search.json`` after one that varies ``search.over``."""

    under_way: DictConfig | None = None  # this process's sweep: one that ends with an error has its choice as well

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        SweepFiles.under_way = config
        if given := _replaced(config, config.search.over):
            message = f"{given} replaces the values that the sweep would search; leave it out to search."
            tell(f"warning: {message}", aside=True)
        if not _is_search(config):
            runs = self.planned(self._runs(config))
            content = {"benchmark": config.benchmark, "runs": runs, "written": now()}
            with suppress(OSError):  # nothing but a convenience; what is wrong with the disk the first run says
                write_json(Path(config.hydra.sweep.dir) / PLANS / f"{digest(runs)}.json", content)

    def _runs(self, config: DictConfig) -> list[list[str]]:
        """The sweep's runs by the settings that make a difference; what a search proposes is in none of them."""
        return expand([o for o in _overrides(config) if not _key(o).startswith(_NOT_IDENTITY)])

    def planned(self, runs: list[list[str]]) -> list[list[str]]:
        """The sweep's runs as the plan has them: by settings that can be told from their records."""
        return runs

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        SweepFiles.under_way = None
        over, split = config.search.over, config.search.split
        values = {override for run in expand(_overrides(config)) for override in run if _key(override) == over}
        if _is_search(config) or len(values) > 1:
            root = Path(config.hydra.sweep.dir)
            runs = self.planned(self._runs(config))
            found = (record for _, record in find_records(root, config.benchmark))
            choices = choose([r for r in found if any(fits(r["config"], run) for run in runs)], over, split)
            if not choices:
                return
            write_choices(root / CHOICES, choices, over, split)
            tell(f"{describe(choices, over)}\nThe choice is in {root / CHOICES}.")


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The runs of a sweep as lists of ``key=value``, in the order in which Hydra's own sweeper takes them."""
    choices = []
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key = override.get_key_element()
        if override.is_discrete_sweep():
            values = list(override.sweep_string_iterator())
        elif override.is_sweep_override():
            continue  # a range, for a search
        else:
            values = [override.get_value_element_as_str()]
        choices.append([f"{key}={value}" for value in values])
    return [list(run) for run in product(*choices)]


def _params(config: DictConfig) -> dict[str, str]:
    """What a preset of the sweep varies, by key."""
    resolved = OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({}), resolve=True)
    assert isinstance(resolved, dict)
    return {str(key): f"{key!s}={value}" for key, value in resolved.items()}


def _replaced(config: DictConfig, over: str) -> str | None:
    """The override that leaves a preset's search nothing to search, if there is one."""
    given = [override for override in config.hydra.overrides.task if _key(override) == over]
    single = given and over in _params(config) and len(expand(given)) == 1 and expand(given) != [[]]
    return given[0] if single else None


def _overrides(config: DictConfig) -> list[str]:
    """The presets' parameters and the command line's overrides, which replace them."""
    merged = _params(config)
    for override in config.hydra.overrides.task:
        merged[_key(override)] = override
    return list(merged.values())


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _is_search(config: DictConfig) -> bool:
    return "optuna" in str(config.hydra.sweeper.get("_target_", "")).lower()
