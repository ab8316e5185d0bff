"""What a replay says in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from evenkeel.capsule.thaw import Capsule
from evenkeel.core.incident import Incident
from evenkeel.core.words import number
from evenkeel.experiment.change import Change
from evenkeel.investigate.changes import NONE_EARLIER
from evenkeel.investigate.here import Difference, ProgramHere
from evenkeel.investigate.verdict import AGAIN, Verdict
from evenkeel.report import summary, words

MAX_WIDTH = 110
MAX_MISSING = 8

_SAYS = {
    "same bits": "the same failure, the same to the bit",
    "same but for rounding": "the same failure, the same but for rounding",
    "same failure": "the same tensors are bad, with other bits",
    "another failure": "the step is bad, but other tensors are",
    "gone": "the step is healthy: losses and gradients are finite",
}
_BEGINS = {
    "state": "after its first update the captured state goes in, and the step comes again",
    "start": "it runs from its start up to step {step}",
}


def tell_plan(capsule: Capsule, program: ProgramHere, begin: str, console: Console) -> None:
    """What is about to run, before it does."""
    how = _BEGINS[begin].format(step=capsule.manifest.seen.step)
    _line(console, f"evenkeel: running {program.command} in {program.cwd}: {how}")


def tell_verdict(capsule: Capsule, incident: Incident, verdict: Verdict, console: Console) -> None:
    """Whether the failure is the same."""
    console.print(Rule("evenkeel replay", characters="-", align="left", style="red"), width=_width(console))
    _line(console, f"captured   {summary.headline(incident)}")
    if incident.case.origin is not None:
        _line(console, f"where      {summary.where(incident.case.origin)}")
    if verdict.changed:
        effect = "" if verdict.took_effect else " (the step never came to it: nothing was learnt)"
        _line(console, f"changed    {verdict.changed}{effect}")
    _line(console, f"now        {_now(verdict)}")
    for note in verdict.notes:
        _line(console, f"note       {note}")
    if verdict.outcome == "same but for rounding":
        _line(console, _ROUNDING)
    if verdict.outcome not in AGAIN and not verdict.changed and capsule.manifest.begin == "state":
        _line(console, _OWN_VARIABLES)


def tell_differences(differing: Sequence[Difference], console: Console) -> None:
    """What may be to blame when the bits are not the same."""
    if not differing:
        _line(console, "Nothing that is known to matter is different here.")
        return
    table = Table("different", "in the capsule", "here", width=_width(console))
    for difference in differing:
        table.add_row(*(Text(printable(text)) for text in (difference.what, difference.there, difference.here)))
    console.print(table)


_ROUNDING = (
    "The same elements are bad; the finite values beside them differ in their last digits: some operation here does "
    "not always add in the same order (with OMP_NUM_THREADS=1 most do)."
)
_OWN_VARIABLES = (
    "Variables of the program's own (a counter, a schedule written by hand) were those of its first steps: "
    "--from start runs all steps before."
)


def tell_contents(
    capsule: Capsule, incident: Incident, changes: Sequence[Change], only_live: Sequence[str], console: Console
) -> None:
    """What the capsule holds, what it does not and why, what can be changed, and what a live run alone can change."""
    manifest = capsule.manifest
    program = manifest.program
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    begin = _BEGINS[manifest.begin].format(step=manifest.seen.step) + (f" ({manifest.why})" if manifest.why else "")
    commit = program.git_commit[:12] + (", with changes" if program.git_is_dirty else "") if program.git_commit else ""
    for label, text in (
        ("step", summary.headline(incident)),
        ("program", f"{program.command} in {program.cwd}"),
        ("text", f"SHA-256 {(program.sha256 or 'unknown')[:12]}, git {commit or program.git_why_not}"),
        ("replay", begin),
        *(("file", f"{file.name}, {file.num_bytes:,} bytes") for file in manifest.files),
        *(("left out", f"{missing.what}: {missing.why}") for missing in manifest.missing[:MAX_MISSING]),
        *_rest(len(manifest.missing)),
        *(("made with", f"{name} {value}") for name, value in manifest.environment[:4]),
        *(("--with", repr(change.name)) for change in changes),
        *((("not here", f"{', '.join(map(repr, only_live))}: {NONE_EARLIER}"),) if only_live else ()),
    ):
        rows.add_row(label, Text(printable(text)))
    console.print(rows, width=_width(console))


def printable(text: str) -> str:
    """Without what would steer a terminal: a capsule may be anybody's."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def _rest(num_missing: int) -> list[tuple[str, str]]:
    return [("left out", f"and {num_missing - MAX_MISSING:,} more")] if num_missing > MAX_MISSING else []


def _now(verdict: Verdict) -> str:
    loss = "" if verdict.loss is None else f"; its loss is {number(verdict.loss)}"
    bad = f" ({words.listed(verdict.names, 3)})" if verdict.names else ""
    return f"{_SAYS[verdict.outcome]}{bad}{loss}"


def _width(console: Console) -> int:
    return min(console.width, MAX_WIDTH)


def _line(console: Console, text: str) -> None:
    console.print(Text(printable(text)), width=_width(console), overflow="fold")
