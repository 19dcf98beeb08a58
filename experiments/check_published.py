"""Do the published Δm and MR follow from the published values? ``python -m experiments.check_published``

Prints, as a Markdown table, every figure that differs from the recomputed one by more than rounding can account for.
``docs/published_results.md`` holds that table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from experiments.common.errors import exits_cleanly
from experiments.common.metrics import delta_m, mean_rank
from experiments.common.options import parse_options
from experiments.common.published import FOLDER, Published, PublishedRow, decimals, half_unit, load_published

_NO_REASON = "values and figure were probably rounded, or averaged over seeds, separately"


class Difference(NamedTuple):
    """A printed figure that does not follow from the printed values; ``rounding``: how far off it might be."""

    benchmark: str
    group: str
    method: str
    figure: str
    printed: float
    recomputed: float
    rounding: float
    reason: str


def recomputed_delta_m(published: Published, group: str, row: PublishedRow) -> float:
    """Against the single-task row of the row's own group."""
    reference = published.reference(published.groups[group].reference)
    return delta_m(row.values, reference, published.higher_is_better)


def delta_m_rounding(published: Published, group: str, row: PublishedRow) -> float:
    """How far Δm may be off since the values, the single-task values and Δm itself are printed rounded."""
    assert row.delta_m is not None
    reference = published.reference(published.groups[group].reference)
    pairs = zip(row.values, reference, strict=True)
    shares = [half_unit(value) / base + value / base**2 * half_unit(base) for value, base in pairs]
    return 100 * sum(shares) / len(reference) + half_unit(row.delta_m)


def recomputed_mean_rank(published: Published, group: str, row: PublishedRow) -> float:
    """Within the set of rows that the source ranked, ties as the source counts them."""
    rank_set = published.rank_sets[row.rank_set or ""]
    names = [tuple(name.split("/", 1)) for name in rank_set["rows"]]
    values = {(g, r.method): r.values for g, content in published.groups.items() for r in content.rows}
    ranks = mean_rank([values[name] for name in names], published.higher_is_better, ties=rank_set["ties"])
    return ranks[names.index((group, row.method))]


def mean_rank_rounding(published: Published, row: PublishedRow) -> float:
    """MR is printed cut off or rounded, so it may be off by a whole unit of its last digit."""
    assert row.mean_rank is not None
    return 2 * half_unit(row.mean_rank)


def differences() -> Iterator[Difference]:
    """Every published figure that differs from the recomputed one by more than rounding, in the files' order."""
    for path in sorted(FOLDER.glob("*.json")):
        published = load_published(path.stem)
        for name, group in published.groups.items():
            for row in group.rows:
                reason = (row.known_difference or {}).get("reason", _NO_REASON)
                if row.delta_m is not None:
                    value = recomputed_delta_m(published, name, row)
                    rounding = delta_m_rounding(published, name, row)
                    if abs(value - row.delta_m) > rounding:
                        yield Difference(path.stem, name, row.method, "Δm", row.delta_m, value, rounding, reason)
                if row.mean_rank is not None:
                    value = recomputed_mean_rank(published, name, row)
                    rounding = mean_rank_rounding(published, row)
                    if abs(value - row.mean_rank) > rounding + 1e-9:
                        yield Difference(path.stem, name, row.method, "MR", row.mean_rank, value, rounding, reason)


def markdown() -> str:
    """The differences as a table."""
    lines = ["| benchmark | row | figure | printed | recomputed | difference | rounding | remark |"]
    lines.append("|---|---|---|---:|---:|---:|---:|---|")
    for one in differences():
        digits = decimals(one.printed)
        numbers = f"{one.printed:.{digits}f} | {one.recomputed:.2f} | {one.recomputed - one.printed:+.2f}"
        numbers += f" | {one.rounding:.2f}"
        lines.append(f"| {one.benchmark} | {one.method} ({one.group}) | {one.figure} | {numbers} | {one.reason} |")
    return "\n".join(lines) + "\n"


@dataclass
class NoOptions:
    """There is nothing to set."""


@exits_cleanly
def main(arguments: Sequence[str] | None = None) -> None:
    parse_options(NoOptions, arguments, description=__doc__)
    print(markdown(), end="")


if __name__ == "__main__":
    main()
