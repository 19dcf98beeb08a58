"""Result tables: what they hold, and how they are written as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Column:
    """``digits`` after the decimal point; ``latex`` is set in mathematics mode; ``key`` names it in the CSV.

    ``spread``: what stands behind ±, the standard deviation (``std``) or standard error (``sem``) over the seeds.
    """

    key: str
    title: str
    latex: str
    digits: int
    higher_is_better: bool = False
    spread: str = "std"

    @property
    def arrow(self) -> str:
        return "↑" if self.higher_is_better else "↓"


@dataclass(frozen=True)
class Cell:
    """A value and its spread over the seeds; ``None`` where there is none.

    ``digits`` replaces the column's, ``std_digits`` those of the spread. ``seeds``: pairs of a seed and its value, of
    which ``mean`` is the mean; empty where they are not known.
    """

    mean: float | None = None
    std: float | None = None
    digits: int | None = None
    std_digits: int | None = None
    seeds: tuple[tuple[int, float], ...] = ()

    def text(self, column: Column) -> str:
        """The rounded mean, or a dash."""
        digits = column.digits if self.digits is None else self.digits
        return "–" if self.mean is None else f"{round(self.mean, digits) + 0.0:.{digits}f}"  # no negative zero

    def std_text(self, column: Column) -> str | None:
        digits = next(d for d in (self.std_digits, self.digits, column.digits) if d is not None)
        return None if self.mean is None or self.std is None else f"{self.std:.{digits}f}"


@dataclass(frozen=True)
class Row:
    """A method's line, one cell a column. A row that does not ``compete`` (STL) is never marked best.

    ``extra`` are further fields of the CSV: names and values.
    """

    label: str
    cells: tuple[Cell, ...]
    n: int | None = None
    competes: bool = True
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """Rows that may be compared with each other. ``title`` is shown above them."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Every row has a cell for every column; ``label`` is LaTeX's.

    ``notes`` are sentences that belong to the caption; ``remarks``, on provenance, go below it, in LaTeX as comments.
    """

    title: str
    label: str
    columns: tuple[Column, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for section in self.sections:
            for row in section.rows:
                if len(row.cells) != len(self.columns):
                    raise ValueError(f"row {row.label!r} has {len(row.cells)} cells for {len(self.columns)} columns.")


def keep_columns(table: Table, keys: Container[str]) -> Table:
    """The table with those columns alone whose ``key`` is among ``keys``."""
    kept = [index for index, column in enumerate(table.columns) if column.key in keys]
    sections = tuple(
        replace(
            section,
            rows=tuple(replace(row, cells=tuple(row.cells[index] for index in kept)) for row in section.rows),
        )
        for section in table.sections
    )
    return replace(table, columns=tuple(table.columns[index] for index in kept), sections=sections)


def filled_columns(table: Table) -> set[str]:
    """The keys of the columns in which some row has a value."""
    rows = [row for section in table.sections for row in section.rows]
    return {
        column.key
        for index, column in enumerate(table.columns)
        if any(row.cells[index].mean is not None for row in rows)
    }


def to_markdown(table: Table) -> str:
    """A heading, a table for each section, all of one width and aligned in the source too, notes and remarks."""
    head = ["Method", *(f"{column.title} {column.arrow}" for column in table.columns), "seeds"]
    sections = []
    for section in table.sections:
        lines = [head]
        for row in section.rows:
            cells = [_markdown_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
            lines.append([row.label, *cells, "–" if row.n is None else str(row.n)])
        sections.append([[cell.replace("|", "\\|") for cell in line] for line in lines])
    widths = [max(len(line[index]) for lines in sections for line in lines) for index in range(len(head))]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]
    body: list[str] = []
    for section, lines in zip(table.sections, sections, strict=True):
        body += [*([""] if body else []), f"**{section.title}**", ""]
        body += [_aligned(line, widths) for line in (lines[0], rule, *lines[1:])]
    notes = [f"- {note}" for note in (*table.notes, *table.remarks)]
    return "\n".join([f"## {table.title}", "", *body, *([""] if notes else []), *notes]) + "\n"


def to_latex(table: Table) -> str:
    """A ``table*`` with booktabs rules, as wide as the page: in every section and column the best in bold, the
    second underlined."""
    lines = [
        "% needs \\usepackage{amsmath,booktabs,graphicx}",
        *(f"% {remark}" for remark in table.remarks),
        "\\begin{table*}[t]",
        "\\centering",
        f"\\caption{{{escape_latex(' '.join([table.title + '.', *table.notes]))}}}",
        f"\\label{{{table.label}}}",
        "\\setlength{\\tabcolsep}{3pt}",
        "\\resizebox{\\textwidth}{!}{%",
        f"\\begin{{tabular}}{{l{'r' * (len(table.columns) + 1)}}}",
        "\\toprule",
    ]
    heads = [f"${column.latex}\\,{_LATEX[column.arrow].strip('$')}$" for column in table.columns]
    lines.append(" & ".join(["Method", *heads, "seeds"]) + r" \\")
    for section in table.sections:
        lines += [
            "\\midrule",
            f"\\multicolumn{{{len(heads) + 2}}}{{l}}{{\\emph{{{escape_latex(section.title)}}}}} \\\\",
        ]
        marked = [marks(section.rows, index, column) for index, column in enumerate(table.columns)]
        for row in section.rows:
            cells = [
                _latex_cell(cell, column, places if row.competes else {})
                for cell, column, places in zip(row.cells, table.columns, marked, strict=True)
            ]
            count = "--" if row.n is None else str(row.n)
            lines.append(" & ".join([escape_latex(row.label), *cells, count]) + r" \\")
    lines += ["\\bottomrule", "\\end{tabular}}", "\\end{table*}"]
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Unrounded means, what is behind ± as ``<key>_std`` or ``<key>_sem``, and the number of seeds; empty where there
    is none."""
    extra = list(dict.fromkeys(name for section in table.sections for row in section.rows for name in row.extra))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [key for column in table.columns for key in (column.key, f"{column.key}_{column.spread}")]
    writer.writerow(["section", "method", *extra, "seeds", *keys])
    for section in table.sections:
        for row in section.rows:
            values = [value for cell in row.cells for value in (cell.mean, cell.std)]
            fields = [row.extra.get(name, "") for name in extra]
            writer.writerow([section.title, row.label, *fields, row.n, *values])
    return text.getvalue()


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "Δ": r"$\Delta$", "·": r"$\cdot$",
    "–": "--", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "<": "$<$", ">": "$>$", "α": r"$\alpha$", "°": r"$^\circ$",
}  # fmt: skip


def escape_latex(text: str) -> str:
    """Text as LaTeX shows it."""
    return "".join(_LATEX.get(character, character) for character in text)


def _markdown_cell(cell: Cell, column: Column) -> str:
    std = cell.std_text(column)
    return cell.text(column) if std is None else f"{cell.text(column)} ± {std}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    cells = [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
    return "| " + " | ".join(cells) + " |"


def marks(rows: Sequence[Row], index: int, column: Column) -> dict[float, str]:
    """Which printed values are the ``best`` and the ``second`` of a column, by rounded value.

    Values that print the same are the same. With fewer than two competing rows nothing is marked, nor what says
    nothing: a value that all rows have, a second place that more than two share, a zero where higher is better.
    """
    values = Counter(
        float(row.cells[index].text(column)) for row in rows if row.competes and row.cells[index].mean is not None
    )
    if values.total() < 2 or len(values) == 1 < values.total() - 1:
        return {}
    places = dict(zip(sorted(values, reverse=column.higher_is_better), ("best", "second"), strict=False))
    return {
        value: place
        for value, place in places.items()
        if not (place == "second" and values[value] > 2) and not (column.higher_is_better and value == 0)
    }


_COMMANDS = {"best": "textbf", "second": "underline"}


def _latex_cell(cell: Cell, column: Column, places: dict[float, str]) -> str:
    if cell.mean is None:
        return "--"
    text = cell.text(column)
    text = f"${text}$" if text.startswith("-") else text
    place = places.get(float(cell.text(column)))
    text = f"\\{_COMMANDS[place]}{{{text}}}" if place else text
    std = cell.std_text(column)
    return text if std is None else f"{text} {{\\scriptsize $\\pm$ {std}}}"
