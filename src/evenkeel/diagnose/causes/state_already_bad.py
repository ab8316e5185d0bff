"""The model was bad before the step began.

What you see:
    Every step fails from some point on.
Why:
    An earlier update wrote NaN into a parameter, a bad batch entered running statistics, or a gradient of an
    earlier step was kept. This step is only the first to show it.
Bad:
    loss.backward(); optimizer.step()                         # whatever the gradients were
Good:
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if torch.isfinite(norm): optimizer.step()                 # the same decision on every rank, and counted
Not this:
    A parameter or buffer that is bad at step 0 is loaded_bad or uninitialised_parameter; a second model that follows
    the first is poisoned_average.
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
    used = f"; first used{words.cite(case.origin.operation)}" if case.origin and case.origin.operation.place else ""
    return Cause(
        name="state_already_bad",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)} already held {source.stats.num_nonfinite:,} non-finite of "
        f"{words.plural(source.stats.numel, 'element')} when step {case.step} began: {_since(case, source)}{used}.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind in _STATE and e.stats.num_nonfinite),
        confidence=0.9,
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
    kinds = _STATE if case.step > 0 else {"gradient"}  # what is bad before the first step was loaded, or never made
    return next((e for e in candidates if e.kind in kinds and e.stats.num_nonfinite), None)


def _since(case: Case, source: Leaf) -> str:
    """Between which steps it went bad, as far as somebody looked at the parameters in between."""
    good = case.last_good_state
    if source.kind != "parameter" or source.is_updated is False:
        return "an earlier step made it so"
    if good is None:
        return f"one of the steps 0 to {case.step - 1} made it so" if case.step > 1 else "step 0 made it so"
    if good >= case.step - 1:
        return f"all parameters were finite after step {good}, so something wrote into it after that update"
    first = f"step {good + 1}" if good + 2 == case.step else f"one of the steps {good + 1} to {case.step - 1}"
    return f"all parameters were finite after step {good}, so {first} made it so"
