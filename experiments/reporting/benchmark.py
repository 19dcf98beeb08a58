"""What the report needs to know of a benchmark, and what a table of its runs is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from experiments.common.metrics import Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from experiments.common.published import Published
    from experiments.reporting.aggregate import Protocol, Run
    from experiments.reporting.tables import Table


@dataclass(frozen=True)
class Picture:
    """A picture of the report. ``name``: of its files; ``caption``: what it shows, in a sentence or two."""

    name: str
    caption: str
    figure: Figure


@dataclass(frozen=True)
class Benchmark:
    """What the report needs of a benchmark; ``delta_m_digits``: of Δm, as the paper prints it.

    ``metrics`` are those of ``results.metrics`` in every finished record. ``views`` are tables of its own by name,
    beside the usual ones of ``experiments.reporting.views`` or, under their names, instead of them; ``tables`` says
    which of them the report makes. ``pictures`` draws a protocol's pictures, in place of the usual ones.
    ``group`` makes protocols of runs where ``aggregate.protocols`` does not fit: what it returns is what the views
    and ``pictures`` get and needs ``name``, ``digest``, ``config``, ``data``, ``used`` and ``left_out``.
    ``trainable`` is whether ``python -m experiments.<key>.train`` exists.
    """

    title: str
    metrics: tuple[Metric, ...]
    delta_m_digits: int = 2
    views: Mapping[str, View] = field(default_factory=dict)
    tables: tuple[str, ...] = ("results",)
    group: Callable[[Sequence[Run]], Sequence[Any]] | None = None
    pictures: Callable[[Any], Sequence[Picture]] | None = None
    trainable: bool = True


@dataclass(frozen=True)
class TableRequest:
    """What a view makes a table of: one protocol's finished runs, or none of them, and the published results.

    ``reference`` is what Δm is measured against (see ``result_tables.reference_of``); ``show_published`` asks for the
    published rows below ours, ``later`` for those of later methods too.
    """

    benchmark: Benchmark
    protocol: Protocol | None
    published: Published | None  # None: nobody has printed any
    reference: str = "auto"
    show_published: bool = True
    later: bool = False

    @property
    def shown(self) -> Published | None:
        """The published results if their rows are wanted; without runs of ours there is nothing else to show."""
        return self.published if self.show_published or self.protocol is None else None


#: A protocol that a view has no table for, such as one without the method that it is about, makes none.
View = Callable[[TableRequest], "Table | None"]
