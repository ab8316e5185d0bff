"""Clipping by an infinite norm spread one bad gradient over all of them.

What you see:
    Parameters that are NaN right after a step in which one gradient overflowed.
Why:
    clip_grad_norm_ multiplies every gradient by max_norm / norm. For an infinite norm that factor is 0, and
    the infinite entries become 0·inf = NaN; for a NaN norm everything becomes NaN. The clipping that was to
    protect the run carries the damage into every parameter.
Bad:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0); optimizer.step()
Good:
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if torch.isfinite(norm): optimizer.step()                 # the same decision on every rank, and counted
Not this:
    The overflow itself has a cause of its own, listed below this one.
Source:
    pytorch#46849; DeepSpeed#7171.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import clipping, evidence, words

CODE = "EK272"
FAMILY: Family = "precision"


def judge(case: Case) -> Cause | None:
    """NaN made inside a clipping by norm, or a norm that overflowed there."""
    clip = clipping.bad_clip(case)
    if clip is None:
        return None
    return Cause(
        name="clip_by_infinite_norm",
        code=CODE,
        family=FAMILY,
        text=_text(case, clip),
        evidence=tuple(words.tensor(stats) for stats in clip.inputs),
        confidence=0.95,
        advice=(
            "Look at the norm that clip_grad_norm_ returns: if it is not finite, skip the step on all "
            "ranks and count it, never scale by it. Then cure the overflow."
        ),
    )


def _text(case: Case, clip: Operation) -> str:
    """Whether a gradient was infinite, or only the sum of their squares."""
    if evidence.overflowed(clip):
        largest = number(max(stats.magnitude for stats in clip.inputs))
        return (
            f"Every gradient is finite (the largest is {largest}), and their norm is not{words.cite(clip)}: its "
            "squares overflowed. The factor by which clipping scales them would be 0, and the update would be nothing."
        )
    born = next((link.operation for link in case.chain if link.role == "infinity born"), None)
    source = f" The infinite gradient was born in {evidence.base(born)}{words.cite(born)}." if born else ""
    return (
        f"Clipping scaled the gradients by a factor made of a norm that is not finite{words.cite(clip)}: for an "
        f"infinite norm the factor is 0, and 0 times an infinite gradient is NaN.{source}"
    )
