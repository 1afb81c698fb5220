"""A figure: a drawing with the table it was drawn from, its caption, its CSV and its address.

Every chart of the pages is one of these, and every one goes through the same macro
(`templates/_figures.html`). The script that draws on a canvas reads the table and nothing else, so
neither drawing can differ from it. A column's role says what a drawing takes it for:

|role|meaning|
|---|---|
|`x`|place on the horizontal axis; text is placed in order, a number to scale|
|`value`|what is drawn|
|`low`, `high`|ends of its interval|
|`line`|a second line to compare with, such as a forecast|
|`n`|a count, not drawn|
|`mark`|a word where something is beyond a limit, empty elsewhere|
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from dashboards import charts, plots
from dashboards.axes import beyond, real
from dashboards.words import count, figure, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from dashboards.correctness import Estimate

BEYOND: Final = "beyond"
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins so (OWASP)
DRAWN: Final = frozenset({"value", "low", "high", "line"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a figure's table."""

    title: str
    role: str = ""
    unit: str = ""
    said: str = ""  # of a mark: what is said of a row that has it

    def text(self, raw: Any) -> str:  # noqa: ANN401 - whatever the report holds
        """A cell as the page prints it."""
        if self.role == "n":
            return count(raw)
        return figure(raw, self.unit) if self.role in DRAWN else str(raw if raw is not None else "")

    @property
    def numeric(self) -> bool:
        """Whether its cells stand on the right."""
        return self.role in DRAWN or self.role == "n"


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart, everything it shows in `rows`, in the order they are drawn."""

    ident: str
    kind: str  # history, reliability, days, ratios or forest
    title: str
    told: str
    drawn: Markup
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    limit: Any = None
    limit_side: str = ""
    key: tuple[tuple[str, str], ...] = ()
    note: str = ""
    newest_first: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def listed(self) -> Sequence[tuple[int, tuple[Any, ...]]]:
        """Rows with their place in the drawing, as the table lists them."""
        numbered = list(enumerate(self.rows))
        return numbered[::-1] if self.newest_first else numbered

    def marked(self, row: Sequence[Any]) -> bool:
        """Whether a row is beyond a limit or a forecast."""
        cells = zip(self.columns, row, strict=True)
        return any(c.role == "mark" and str(value or "").strip() for c, value in cells)

    def csv(self, **facts: Any) -> str:  # noqa: ANN401 - facts of the page
        """The table as RFC 4180 text, figures as reported, each line with where it comes from."""
        about = {**facts, **self.facts}
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow([*(c.title for c in self.columns), *about])
        for row in self.rows:
            writer.writerow([_cell(value) for value in (*row, *about.values())])
        return out.getvalue()


def of_estimate(estimate: Estimate, ident: str) -> Figure:
    """A metric's history, window by window."""
    limit = real(estimate.limit)
    columns = [
        Column("Window", "x"),
        Column("Value", "value", estimate.unit),
        Column("Low", "low", estimate.unit),
        Column("High", "high", estimate.unit),
        Column("Rows", "n"),
    ]
    key = [("key-line", "value")]
    if estimate.interval and any(p.low is not None for p in estimate.history):
        key.append(("key-band", estimate.interval.split(";")[0]))
    rows: list[tuple[Any, ...]] = [
        (p.window, p.value, p.low, p.high, p.n) for p in estimate.history
    ]
    if limit is not None:
        columns.append(Column("Signed limit", "mark", said="beyond the limit"))
        side = estimate.limit_side
        rows = [(*r, BEYOND if beyond(real(r[1]), limit, side) else "") for r in rows]
        key += [("key-limit", "signed limit"), ("key-off", "beyond it")]
    return Figure(
        ident=ident,
        kind="history",
        title=estimate.title,
        told=charts.told(estimate),
        drawn=charts.history(estimate, ident=ident),
        columns=tuple(columns),
        rows=tuple(rows),
        limit=estimate.limit,
        limit_side=estimate.limit_side,
        key=tuple(key),
        note=STRAY if charts.stray(estimate) else "",
        newest_first=True,
        facts={
            "metric": estimate.metric,
            "unit": estimate.unit,
            "limit": estimate.limit,
            "limit_side": estimate.limit_side,
            "limit_leaf": estimate.limit_leaf,
        },
    )


STRAY: Final = (
    "A window of this history lies beyond the limit without an alarm: the limit judges the window "
    "it was signed for, not each of these."
)


def of_table(table: Mapping[str, Any], ident: str) -> Figure | None:
    """The chart of a report's table whose columns are known here; None for any other."""
    names = [str(c) for c in table["columns"]]
    for plot in plots.KNOWN:
        roles = plot.roles(names)
        if roles is None or not table["rows"]:
            continue
        columns = tuple(
            Column(name, role, plot.units.get(role, ""), name if role == "mark" else "")
            for name, role in zip(names, roles, strict=True)
        )
        rows = tuple(tuple(row) for row in table["rows"])
        series = plots.Series.of(roles, rows)
        if not series.points:
            return None
        return Figure(
            ident=ident,
            kind=plot.kind,
            title=str(table["title"]),
            told=plot.told(series),
            drawn=plot.draw(series, ident),
            columns=columns,
            rows=rows,
            key=plot.key,
        )
    return None


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) and number(text) is None else text
