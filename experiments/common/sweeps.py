"""What a sweep leaves beside its runs: the plan, by which ``experiments.status`` knows what waits, and its choice.

All are Hydra's callbacks around a command, carried out by the process that launches it, whatever the launcher. Hydra
makes a mere warning of an exception in a callback, so that what is the user's to mend ends the command here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from experiments.common.errors import UserError
from experiments.common.files import write_json
from experiments.common.multirun import check_single_run, overrides_of
from experiments.common.overrides import fits
from experiments.common.progress import tell
from experiments.common.records import PLANS, changes_identity, digest, find_records, now
from experiments.common.search import choose, describe, write_choices

CHOICES = "search.json"
_ONE_VALUE = ("method", "agent", "row", "seed")  # what a search is for: its scores cannot be compared over several
_under_way: list[Callable[[], None]] = []  # how the sweep of this process, if any, makes its choice


class SweepFiles(Callback):
    """Write ``sweeps/DIGEST.json`` before a sweep, and ``search.json`` after one that varies ``search.over``."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        with _ending_the_command():
            check_single_run(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        with _ending_the_command():
            _check_search(config)
        _under_way[:] = [partial(self.on_multirun_end, config)]
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
        return expand([o for o in _overrides(config) if _names_a_run(_key(o))])

    def planned(self, runs: list[list[str]]) -> list[list[str]]:
        """The sweep's runs as the plan has them: by settings that can be told from their records."""
        return runs

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        no_sweep_under_way()
        with _ending_the_command():
            self._choose(config)

    def _choose(self, config: DictConfig) -> None:
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


def choose_after_all() -> None:
    """Make the choice of this process's sweep, if there is one, after an error that has ended it."""
    for choose_now in list(_under_way):
        choose_now()


def no_sweep_under_way() -> None:
    """Forget the sweep of this process, at its end and before another begins."""
    _under_way.clear()


@contextmanager
def _ending_the_command() -> Iterator[None]:
    """Print a :class:`UserError` and end with status 1, which Hydra lets pass."""
    try:
        yield
    except UserError as error:
        tell(f"error: {error}", aside=True)
        raise SystemExit(1) from None


def _check_search(config: DictConfig) -> None:
    """Raise :class:`UserError` for several values of what a search by Optuna is for: it would drop them unsaid."""
    if not _is_search(config):
        return
    fixed = {key for key, override in _params(config).items() if not _varies(override)}
    for override in overrides_of(config):
        if _varies(override) and _key(override) in {*fixed, *_ONE_VALUE}:
            raise UserError(f"{override}: a search by Optuna takes one value; give one command for each.")


def _varies(override: str) -> bool:
    return OverridesParser.create().parse_override(override).is_sweep_override()


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
    given = [override for override in overrides_of(config) if _key(override) == over]
    single = given and over in _params(config) and len(expand(given)) == 1 and expand(given) != [[]]
    return given[0] if single else None


def _overrides(config: DictConfig) -> list[str]:
    """The presets' parameters and the command line's overrides, which replace them."""
    merged = _params(config)
    for override in overrides_of(config):
        merged[_key(override)] = override
    return list(merged.values())


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+")


def _names_a_run(key: str) -> bool:
    """Whether a sweep's runs differ by this key, rather than in where and how they are carried out."""
    return changes_identity(key) and not key.startswith(("hydra.", "hydra/")) and key != "sweep"


def _is_search(config: DictConfig) -> bool:
    return "optuna" in str(config.hydra.sweeper.get("_target_", "")).lower()
