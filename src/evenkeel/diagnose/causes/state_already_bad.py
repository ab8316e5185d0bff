"""The model was bad before the step began.

What you see:
    Every step fails from some point on, or at once after loading a checkpoint.
Why:
    An earlier update wrote NaN into a parameter, a bad batch entered running statistics, a damaged
    checkpoint was loaded, or a gradient of an earlier step was kept. This step is only the first to show
    it.
Bad:
    model.load_state_dict(torch.load("last.pt"))              # saved after the bad update
Good:
    state = torch.load("last.pt")
    bad = [name for name, value in state.items() if not value.isfinite().all()]      # must be empty
Not this:
    A parameter that is bad at step 0 of a fresh run is uninitialised_parameter.
Source:
    Marigold#111 (weights NaN one update after a NaN target).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.diagnose import words

CODE = "EK261"
FAMILY: Family = "state"

_STATE = frozenset({"parameter", "buffer", "gradient"})


def judge(case: Case) -> Cause | None:
    """A parameter, buffer or kept gradient that is non-finite when the step begins."""
    source = _bad_state(case)
    if source is None:
        return None
    begun = "when training began" if case.step == 0 else f"when step {case.step} began"
    reason = "a checkpoint loaded bad, or memory never initialised" if case.step == 0 else "an earlier step made it so"
    used = f"; first used{words.cite(case.origin.operation)}" if case.origin and case.origin.operation.place else ""
    return Cause(
        name="state_already_bad",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)} already held {source.stats.num_nonfinite:,} non-finite of "
        f"{words.plural(source.stats.numel, 'element')} {begun}: {reason}{used}.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind in _STATE and e.stats.num_nonfinite),
        confidence=0.5 if case.step == 0 and source.kind == "parameter" else 0.9,
        advice=(
            "Go back to the last checkpoint whose tensors are all finite and run on from there under "
            "supervision, so that the step that did the damage is caught. Call zero_grad before every "
            "backward."
        ),
    )


def _bad_state(case: Case) -> Leaf | None:
    """The leaf of the origin, or, where no operation was found, any state that is bad."""
    if case.origin is not None and case.origin.leaf is not None:
        candidates = [case.origin.leaf]
    elif case.origin is None:
        candidates = list(case.leaves)
    else:
        candidates = []
    return next((e for e in candidates if e.kind in _STATE and e.stats.num_nonfinite), None)
