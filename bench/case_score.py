"""Compares what was said about a case with its truth; no process is started here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CASES = Path(__file__).resolve().parent / "cases"
ASPECTS = (
    "detected",
    "step",
    "phase",
    "symptom",
    "line",
    "function",
    "op",
    "family",
    "samples",
    "reproduced",
    "remedy",
    "patch",
)
# Smallest share of right answers among the cases that become non-finite.
BARS = {
    "detected": 1.0, "step": 1.0, "line": 0.97, "function": 0.95, "family": 0.95, "samples": 0.90, "remedy": 0.90,
    "patch": 0.70,
}  # fmt: skip

Marks = dict[str, bool | None]  # aspect -> right, wrong, or None: the truth does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is known about a case; `line` to `samples` are empty for a control."""

    id: str
    source: str
    step: int | None  # optimizer steps before the symptom; None when nothing becomes non-finite
    phase: str | None
    symptom: str
    ops: tuple[str, ...]  # accepted spellings; empty when no single operation is at fault
    line: int | None
    function: str | None
    families: tuple[str, ...]
    samples: tuple[int, ...] | None
    remedies: tuple[str, ...]  # names of the experiments that make what the source names as the right fix
    note: str
    script: Path

    @property
    def control(self) -> bool:
        """Healthy to the end."""
        return self.symptom == "none"

    @property
    def nonfinite(self) -> bool:
        """A loss, gradient or parameter becomes NaN or infinite."""
        return self.symptom not in {"none", "silent"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a tool said about a case: `alarmed` is False when it said nothing."""

    alarmed: bool
    step: int | None = None
    phase: str | None = None
    symptom: str | None = None
    line: int | None = None
    function: str | None = None
    op: str | None = None
    family: str | None = None
    samples: tuple[int, ...] = ()
    reproduced: bool = False
    remedies: tuple[str, ...] = ()  # names of the experiments that made the step healthy
    patched: bool = False  # a patch of the script's own lines proved itself
    failure: str = ""  # the tool itself broke; never a finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often an aspect was right, among the cases whose truth has it."""

    right: int
    asked: int

    @property
    def share(self) -> float | None:
        """`right / asked`, None when nothing was asked."""
        return self.right / self.asked if self.asked else None


def load_truths(folder: Path = CASES) -> tuple[Truth, ...]:
    """Every case and control of the folder, in the order of their names."""
    return tuple(load_truth(script) for script in sorted(folder.glob("*.py")))


def load_truth(script: Path) -> Truth:
    """The truth beside a script."""
    given: dict[str, Any] = json.loads(script.with_suffix(".json").read_text())
    for key in ("ops", "families", "remedies"):
        given[key] = tuple(given[key])
    if given["samples"] is not None:
        given["samples"] = tuple(given["samples"])
    return Truth(**given, script=script)


def read_incident(out: Path, script: Path) -> Answer:
    """The answer in the folder that a run wrote; no incident.json means no alarm.

    A line counts only when it lies in the script itself.
    """
    path = out / "incident.json"
    if not path.exists():
        return Answer(alarmed=False)
    given: dict[str, Any] = json.loads(path.read_text())
    origin: dict[str, Any] = given.get("origin") or {}
    own = Path(origin.get("file") or "").name == script.name
    return Answer(
        alarmed=True,
        step=given["step"],
        phase=given["phase"],
        symptom=given["symptom"]["kind"],
        line=origin.get("line") if own else None,
        function=origin.get("scope") if own else None,
        op=origin.get("op"),
        family=(given.get("cause") or {}).get("family"),
        samples=tuple(origin.get("samples") or ()),
        reproduced=bool(given.get("reproduced")) and not given.get("but_for_rounding"),
        remedies=tuple(tried["name"] for tried in given.get("experiments") or () if tried["healthy"]),
        patched=any(advice["diff"] for advice in given.get("advice") or ()),
    )


def plain_op(name: str) -> str:
    """One spelling of an operation: "aten._softmax.default", "_softmax" and "Softmax" are "softmax"."""
    parts = name.rpartition("::")[2].split(".")
    base = parts[1] if len(parts) > 1 and parts[0] in {"aten", "torch"} else parts[0]
    return base.lower().replace("_", "")


def mark(truth: Truth, answer: Answer) -> Marks:
    """Each aspect right, wrong, or None when the truth does not say. Without an alarm nothing is right."""
    ops = {plain_op(op) for op in truth.ops}
    asked: dict[str, tuple[bool, bool]] = {
        "detected": (True, True),
        "step": (truth.step is not None, answer.step == truth.step),
        "phase": (truth.nonfinite, answer.phase == truth.phase),
        "symptom": (True, answer.symptom == truth.symptom),
        "line": (True, answer.line == truth.line),
        "function": (True, answer.function == truth.function),
        "op": (bool(ops), answer.op is not None and plain_op(answer.op) in ops),
        "family": (True, answer.family in truth.families),
        "samples": (truth.samples is not None, set(answer.samples) == set(truth.samples or ())),
        "reproduced": (truth.nonfinite, answer.reproduced),
        "remedy": (truth.nonfinite, bool(set(answer.remedies) & set(truth.remedies))),
        "patch": (truth.nonfinite, answer.patched),
    }
    return {aspect: answer.alarmed and right if known else None for aspect, (known, right) in asked.items()}


def why_missed(truth: Truth, answer: Answer, aspects: Sequence[str] = ASPECTS) -> str:
    """What the truth is where the answer is wrong; what the case is about where nothing was said."""
    if truth.control or answer.failure:
        return ""
    if not answer.alarmed:
        kind = "nothing becomes non-finite" if not truth.nonfinite else "not seen"
        return f"{kind}: {truth.note}"
    wrong = [aspect for aspect, right in mark(truth, answer).items() if right is False and aspect in aspects]
    true = {"op": truth.ops, "family": truth.families, "remedy": truth.remedies or "no experiment", "patch": "possible"}
    return "; ".join(f"{aspect} is {true.get(aspect, getattr(truth, aspect, True))}" for aspect in wrong)


def tally(marks: Iterable[Marks], aspect: str) -> Tally:
    """How often the aspect was right; cases whose truth does not have it are not counted."""
    known = [given[aspect] for given in marks if given[aspect] is not None]
    return Tally(right=sum(map(bool, known)), asked=len(known))


def summarise(scored: Sequence[tuple[Truth, Answer]]) -> dict[str, Any]:
    """Figures over all cases, over those that become non-finite, and the alarms on controls."""
    cases = [(truth, mark(truth, answer)) for truth, answer in scored if not truth.control]
    controls = [(truth, answer) for truth, answer in scored if truth.control]
    groups = {
        "all": [marks for _, marks in cases],
        "nonfinite": [marks for truth, marks in cases if truth.nonfinite],
    }
    figures: dict[str, Any] = {name: _figures(marks) for name, marks in groups.items()}
    figures["false_alarms"] = sorted(truth.id for truth, answer in controls if answer.alarmed)
    figures["num_controls"] = len(controls)
    figures["failures"] = {truth.id: answer.failure for truth, answer in scored if answer.failure}
    return figures


def _figures(marks: Sequence[Marks]) -> dict[str, Any]:
    tallies = {aspect: tally(marks, aspect) for aspect in ASPECTS}
    return {
        aspect: {"right": count.right, "asked": count.asked, "share": count.share} for aspect, count in tallies.items()
    }


def shortfalls(figures: dict[str, Any]) -> list[str]:
    """Each bar that is missed, as a sentence; empty when all are reached."""
    missed = []
    for aspect, bar in BARS.items():
        share = figures["nonfinite"][aspect]["share"]
        if share is None or share < bar:
            said = "not measured" if share is None else f"{share:.0%}"
            missed.append(f"{aspect} right in {said} of the cases that become non-finite; the bar is {bar:.0%}")
    if figures["false_alarms"]:
        missed.append(f"alarms on controls: {', '.join(figures['false_alarms'])}; none is allowed")
    if figures["failures"]:
        missed.append(f"runs that broke: {', '.join(figures['failures'])}; none is allowed")
    return missed
