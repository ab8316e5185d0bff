"""What the optimizer keeps was bad before the step began.

What you see:
    Loss and gradients are finite and every parameter was, until the update: exp_avg, exp_avg_sq or a momentum
    buffer was not finite, and the update wrote that into the parameters.
Why:
    A checkpoint of the optimizer was saved after a bad step; or a step whose gradients were not finite was undone in
    the parameters but not in the moments, where a NaN stays for ever.
Bad:
    model.load_state_dict(good["model"]); optimizer.load_state_dict(bad["optimizer"])
Good:
    if torch.isfinite(norm): optimizer.step()          # a bad gradient reaches neither parameters nor moments
Not this:
    Parameters that were bad when the step began are state_already_bad or loaded_bad; bad gradients come from the
    loss.
Source:
    OLMo-core's SkipStep AdamW: with a factor of 0 and one NaN gradient both moments become NaN (0·NaN).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.words import nonfinite
from evenkeel.diagnose import words

CODE = "EK264"
FAMILY: Family = "state"


def judge(case: Case) -> Cause | None:
    """The bad value came out of the optimizer's own state."""
    source = _bad_state(case)
    if source is None:
        return None
    gradients = [e for e in case.leaves if e.kind in {"gradient", "parameter"} and e.stats.num_nonfinite]
    alone = "" if gradients else ", while the parameters were finite"
    used = words.cite(case.origin.operation) if case.origin is not None else ""
    when = "before the first step" if case.step == 0 else f"when step {case.step} began"
    return Cause(
        name="poisoned_optimizer_state",
        code=CODE,
        family=FAMILY,
        text=f"{source.name} held {nonfinite(source.stats)} among {words.plural(source.stats.numel, 'element')} "
        f"{when}{alone}{used and '; used'}{used}.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind == "optimizer" and e.stats.num_nonfinite),
        confidence=0.96,
        advice=(
            f"{_advice(case)} Look at the gradients before each step, so that a bad one reaches neither the parameters "
            "nor what the optimizer keeps; never multiply it by 0, because 0·NaN is NaN."
        ),
    )


def _bad_state(case: Case) -> Leaf | None:
    """The leaf of the origin, or, where no operation was found, any state of an optimizer that is bad."""
    if case.origin is not None:
        found = [case.origin.leaf] if case.origin.leaf is not None else []
    else:
        found = list(case.leaves)
    return next((e for e in found if e.kind == "optimizer" and e.stats.num_nonfinite), None)


def _advice(case: Case) -> str:
    """At the first step it was loaded; later a step put it there."""
    if case.step == 0:
        return "Load the optimizer from a checkpoint whose tensors are all finite, or begin with a fresh optimizer."
    return "Go back to the last state in which parameters and optimizer were finite."
