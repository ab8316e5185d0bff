"""The optimizer's own arithmetic made the bad value.

What you see:
    Loss and gradients are finite; a parameter is not, after the step.
Why:
    The update divides by something that is 0 or underflows, such as the norm of a layer that starts at zero. Or
    the product of rate and update leaves the range.
Bad:
    update *= update_before.norm() / update.norm()            # a zero-initialised layer: 0/0
Good:
    update *= update_before.norm() / update.norm().clamp_min(1e-12)
Not this:
    Gradients that were already bad when the optimizer received them come from the loss; NaN out of gradient
    clipping is clip_by_infinite_norm; an eps that float16 cannot hold is optimizer_eps_in_half.
Source:
    microsoft/dion PR#24 (NorMuon).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.diagnose import clipping, evidence, words

CODE = "EK253"
FAMILY: Family = "dynamics"


def judge(case: Case) -> Cause | None:
    """A bad value born while the optimizer ran."""
    origin = evidence.born(case)
    if origin is None or clipping.bad_clip(case) is not None:
        return None
    if origin.operation.phase != "optimizer" and case.phase != "optimizer":
        return None
    operation = origin.operation
    return Cause(
        name="optimizer_update",
        code=CODE,
        family=FAMILY,
        text=f"{_what(origin)}{words.at(origin)}{words.cite(operation)} inside the optimizer's step; the "
        "gradients that it received are finite.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.925,
        advice=(
            "Bound the denominator of the update away from 0 so that a zero update stays zero; keep "
            "optimizer state in float32, and choose an eps that the state's dtype can hold (1e-4 in "
            "float16)."
        ),
    )


def _what(origin: Origin) -> str:
    """The division or the overflow."""
    name = evidence.base(origin.operation)
    if evidence.divides_by_zero(origin):
        below = evidence.denominator(origin.operation)
        above = evidence.operands(origin, "self") if below is not None else ()
        return f"{name} divided {words.some(above) or 'a number'} by 0"
    how = "overflowed" if evidence.overflowed(origin.operation) else "gave a value that is not finite"
    return f"{name} {how}"
