"""Which runs a figure is drawn from: one protocol of one benchmark, found below ``root``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from experiments.benchmarks import BENCHMARKS
from experiments.common.errors import UserError
from experiments.common.published import load_published
from experiments.common.settings import setting
from experiments.reporting.aggregate import STL, MethodRow, Protocol, existing_root, load_runs, protocols
from experiments.reporting.benchmark import Benchmark
from experiments.reporting.histories import Quantity, delta_m_on_test
from experiments.reporting.result_notes import data_in_words, data_kind
from experiments.reporting.result_tables import Reference, reference_of


@dataclass
class RunChoice:
    """``root``: where records are; ``protocol``: its digest, where there are several; ``methods``: keys, or all."""

    root: str = "runs"
    benchmark: str | None = None
    protocol: str | None = None
    methods: list[str] | None = None


@dataclass(frozen=True)
class FigureRuns:
    """One protocol's finished runs and what their Δm is measured against."""

    key: str
    benchmark: Benchmark
    protocol: Protocol
    reference: Reference

    @property
    def delta_m(self) -> Quantity:
        """Δm of an epoch's test metrics."""
        return delta_m_on_test(self.benchmark.metrics, self.reference.values)

    def describe(self) -> str:
        """Benchmark, data, length and seeds, for a figure's title."""
        config, data = self.protocol.config, self.protocol.data
        epochs, preset = setting(config, "trainer.epochs"), config.get("preset")
        sizes = f" ({data['train']:,} train)" if "train" in data else ""
        count = len({seed for row in self.protocol.rows if row.key != STL for seed in row.values})
        parts = [
            self.benchmark.title,
            f"{data_kind(self.protocol)}{sizes}",
            f"preset {preset}" if preset else "",
            f"{epochs} epochs" if epochs else "",
            f"{count} seed{'' if count == 1 else 's'}",
        ]
        return ", ".join(filter(None, parts))


def runs_of(choice: RunChoice, key: str, wanted: Callable[[MethodRow], bool]) -> FigureRuns | None:
    """The one protocol of a benchmark that has rows which ``wanted`` takes; ``None`` if none has.

    Raises :class:`UserError` if several have and the choice names none of them.
    """
    benchmark = BENCHMARKS[key]
    found = protocols(load_runs(existing_root(choice.root), key), [metric.name for metric in benchmark.metrics])
    if choice.protocol is not None:
        found = [one for one in found if choice.protocol in (one.name, one.digest)]
    found = [one for one in found if any(wanted(row) for row in one.rows)]
    if not found:
        return None
    if len(found) > 1:
        listed = "; ".join(f"{one.name} ({_in_words(one)})" for one in found)
        raise UserError(
            f"{choice.root} has {benchmark.title} runs of several protocols: {listed}; give protocol=DIGEST."
        )
    return FigureRuns(
        key, benchmark, found[0], reference_of(found[0], benchmark.metrics, "auto", load_published(key))
    )


def _in_words(protocol: Protocol) -> str:
    """What tells a protocol from others: preset, length, data, and how many runs there are."""
    epochs, preset = setting(protocol.config, "trainer.epochs"), protocol.config.get("preset")
    count = len(protocol.used)
    parts = [f"{count} run{'' if count == 1 else 's'}", f"preset {preset}" if preset else ""]
    return ", ".join(filter(None, [*parts, f"{epochs} epochs" if epochs else "", data_in_words(protocol)]))


def required_runs(choice: RunChoice, key: str, wanted: Callable[[MethodRow], bool], command: str) -> FigureRuns:
    """As :func:`runs_of`; where there are none, raises :class:`UserError` with the ``command`` that makes some."""
    runs = runs_of(choice, choice.benchmark or key, wanted)
    if runs is None:
        protocol = f" of protocol {choice.protocol}" if choice.protocol else ""
        raise UserError(
            f"{choice.root} has no finished runs{protocol} that the figure shows; make some with `{command}` or give "
            "root=FOLDER."
        )
    return runs


def plain(rows: Sequence[MethodRow]) -> list[MethodRow]:
    """The first row of every method but STL: that with its default options, whose name is the shortest."""
    first: dict[str, MethodRow] = {}
    for row in sorted(rows, key=lambda row: len(row.label)):
        first.setdefault(row.key, row)
    return [row for row in rows if row is first[row.key] and row.key != STL]


def option(row: MethodRow, name: str, default: object) -> object:
    """A method's option, which all runs of a row share."""
    return row.runs[0].record["method"].get(name, default)
