"""The report in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from evenkeel.core.case import Link, Origin
from evenkeel.core.cause import Cause
from evenkeel.core.incident import Advice, Experiment, Incident
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent, nonfinite, number
from evenkeel.report import summary, words
from evenkeel.report.source import SourceLine, excerpt

MAX_WIDTH = 110
MAX_ELEMENTS = 4
MAX_OTHER_CAUSES = 2
_DIFF_STYLES: dict[summary.DiffLine, str] = {
    "file": "bold",
    "where": "cyan",
    "plus": "green",
    "minus": "red",
    "same": "",
}

Row = tuple[str, RenderableType]


def render(incident: Incident, console: Console) -> None:
    """Print the report of `incident`; readable at 80 columns and without colour."""
    width = min(console.width, MAX_WIDTH)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for label, content in _rows(incident):
        rows.add_row(label, Padding(content, (0, 0, 1, 0)))
    console.print(Rule("evenkeel", characters="-", align="left", style="red"), width=width)
    console.print(Text(summary.headline(incident), style="bold red"), width=width)
    console.print()
    console.print(rows, width=width)


def _rows(incident: Incident) -> Iterator[Row]:
    case = incident.case
    if case.origin is None:
        yield "where", Text("the operation that made the bad value was not found")
    else:
        yield from _origin_rows(case.origin)
    if case.terms:
        yield "terms", Text(summary.terms(case.terms))
    if incident.received_by:
        yield "ranks", Text(summary.ranks(incident))
    if case.others:
        yield "also", _lines(summary.where(other) + ": " + summary.what(other) for other in case.others)
    if case.chain:
        yield "path", _chain(case.chain)
    yield "replay", Text(summary.replay(incident))
    if incident.causes:
        yield "why", _why(incident.causes)
    if incident.experiments:
        yield "tried", _lines(map(_experiment, incident.experiments))
    if summary.advice(incident):
        yield "do", _advice(summary.advice(incident))
    yield from _file_rows(incident)


def _file_rows(incident: Incident) -> Iterator[Row]:
    if incident.report or incident.patch:
        yield "files", _lines(words.short(path) for path in (incident.report, incident.patch) if path)
    if incident.capsule:
        yield "again", Text(summary.capsule(incident))


def _origin_rows(origin: Origin) -> Iterator[Row]:
    place = origin.operation.place
    source = excerpt(place) if place else ()
    yield "where", Group(Text(summary.where(origin)), *map(_source_line, source))
    yield "what", Group(Text(summary.what(origin)), *_elements(origin))
    if origin.operation.inputs or origin.operation.outputs:
        yield "tensors", _tensors(origin)
    yield "samples", Text(summary.samples(origin))


def _source_line(line: SourceLine) -> Text:
    mark = ">" if line.marked else " "
    text = Text(f"{mark} {line.number:>5} | {line.text}", style="bold" if line.marked else "dim")
    text.no_wrap = not line.marked  # the line that is meant is shown in full
    text.overflow = "fold" if line.marked else "ellipsis"
    return text


def _elements(origin: Origin) -> Iterator[Text]:
    shown = origin.elements[:MAX_ELEMENTS]
    for bad in shown:
        yield Text(f"  {summary.element(origin, bad)}")
    rest = summary.num_elements(origin) - len(shown)
    if shown and rest:
        yield Text(f"  and {rest:,} more")


def _tensors(origin: Origin) -> Table:
    table = Table.grid(padding=(0, 2))
    for operation in filter(None, (origin.operation, origin.derivative)):
        for direction, tensors in (("in", operation.inputs), ("out", operation.outputs)):
            for stats in tensors:
                table.add_row(Text(f"{operation.function} {direction}", no_wrap=True), _tensor(stats))
    return table


def _tensor(stats: TensorStats) -> Text:
    """In a sentence, not in columns: a narrow column would break numbers in the middle."""
    zeros = f", {stats.num_zero:,} zeros" if stats.num_zero else ""
    text = Text(f"{stats.name}: {words.shape(stats)} {stats.dtype}, {extent(stats)}{zeros}")
    if stats.num_nonfinite:
        text.append(f", {nonfinite(stats)}", style="bold red")
    return text


def _chain(chain: tuple[Link, ...]) -> Table:
    table = Table.grid(padding=(0, 1))
    for position, link in enumerate(chain, start=1):
        place = link.operation.place
        cited = words.cite(place) if place else f"module {link.operation.module}"
        station = Text(f"{link.role} in {words.name_of(link.operation)}, {cited}")
        source = Text(place.source if place else "", style="dim", no_wrap=True, overflow="ellipsis")
        table.add_row(f"{position}.", Group(station, source) if source else station)
    return table


def _why(causes: tuple[Cause, ...]) -> Group:
    best, *rest = causes
    title = Text(f"{best.name}", style="bold")
    title.append(f" ({best.code}, {best.family}, confidence {best.confidence:.2f})", style="not bold")
    return Group(
        title,
        Text(best.text),
        *(Text(f"- {item}") for item in best.evidence),
        *(
            Text(f"less likely: {cause.name} ({cause.code}, {cause.confidence:.2f}): {cause.text}", style="dim")
            for cause in rest[:MAX_OTHER_CAUSES]
        ),
    )


def _experiment(experiment: Experiment) -> str:
    loss = "" if experiment.loss is None else f", loss {number(experiment.loss)}"
    return f"{experiment.name} ({experiment.changed}): {'healthy' if experiment.healthy else 'still bad'}{loss}"


def _advice(items: tuple[Advice, ...]) -> Table:
    table = Table.grid(padding=(0, 1))
    for position, item in enumerate(items, start=1):
        diff = (Text(line, style=_DIFF_STYLES[kind]) for kind, line in summary.diff_lines(item))
        table.add_row(f"{position}.", Group(Text(item.text), Text(f"({summary.verified(item)})", style="dim"), *diff))
    return table


def _lines(lines: Iterable[str]) -> Group:
    return Group(*(Text(line) for line in lines))
