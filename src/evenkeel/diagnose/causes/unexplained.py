"""No cause that evenkeel knows fits what was measured.

What you see:
    A bad value and, where the replay found it, the operation that made it, without a reason.
Why:
    The operation is none that the other causes know, or its numbers do not show the pattern of any.
Bad:
    torch.ops.my_library.fused_loss(prediction, target)     # nobody but its author knows its domain
Good:
    Write the same computation in plain operations for one step, and look at the first that goes bad.
Not this:
    Had the replay ended without the symptom, it would be not_reproduced.
Source:
    None: this is the last resort.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.diagnose import evidence, words

CODE = "EK299"
FAMILY: Family = "domain"


def judge(case: Case) -> Cause:
    """What is known, without a guess. Fits every case, with the least confidence."""
    symptom = f"{case.symptom.kind} {case.symptom.name}".strip()
    return Cause(
        name="unexplained",
        code=CODE,
        family=_family(case),
        text=f"At step {case.step} the {symptom} went bad{_known(case)}.{_unknown(case)}",
        evidence=_evidence(case),
        confidence=0.1,
        advice=_advice(case),
    )


def _advice(case: Case) -> str:
    if case.obstacle:
        return (
            "Draw the data through a DataLoader or guard.batches and write into no batch, so that the step can be "
            "repeated; or start the script with evenkeel run, which can repeat it in a second process."
        )
    return (
        "Read the ranges of this operation's inputs: the one that looks wrong shows where to go on. "
        "Running the step in float64 tells whether precision plays a part."
    )


def _unknown(case: Case) -> str:
    return "" if case.obstacle else " No known cause fits these numbers."


def _family(case: Case) -> Family:
    """Only the phase speaks: bad state stays state, bad data stays data."""
    if case.phase == "state":
        return "state"
    return "data" if case.phase == "data" else FAMILY


def _known(case: Case) -> str:
    """The operation, if one was found."""
    if case.obstacle:
        return f", and the step could not be repeated to see where ({case.obstacle})"
    if case.origin is None:
        return ", and no operation was found that made the first bad value"
    operation = case.origin.operation
    where = f"{words.at(case.origin)}{words.cite(operation)}"
    return f"; the first bad value came out of {evidence.base(operation)}{where}"


def _evidence(case: Case) -> tuple[str, ...]:
    """What went in and what came out."""
    if case.origin is None:
        return ()
    operation = case.origin.operation
    ins = tuple(f"in: {words.tensor(stats)}" for stats in operation.inputs)
    return ins + tuple(f"out: {words.tensor(stats)}" for stats in operation.outputs)
