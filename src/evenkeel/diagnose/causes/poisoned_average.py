"""An average of the weights, or a teacher, took in a bad value and keeps it.

What you see:
    The model itself is finite, and the loss is NaN from some step on: it is computed with a second model whose
    weights follow the first (an exponential average, a teacher, a target network).
Why:
    An average mixes a little of the present weights into what it has: 0.999·NaN + 0.001·w is NaN for ever. It is
    moved after the update by a line of its own, which nobody tells that the step was bad; leaving the step out or
    putting the model back does not mend it.
Bad:
    optimizer.step(); ema.update_parameters(model)                   # after any step, bad ones too
Good:
    if step_was_good: ema.update_parameters(model)
Not this:
    A parameter that the optimizer does update is state_already_bad; one that was bad from the start is loaded_bad.
Source:
    Ultralytics, which repairs its average when it saves; torch.optim.swa_utils.AveragedModel does not look.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.core.words import nonfinite
from evenkeel.diagnose import words

CODE = "EK263"
FAMILY: Family = "state"


def judge(case: Case) -> Cause | None:
    """The value was bad in a parameter that no optimizer updates, or in a buffer beside such parameters."""
    source = case.origin.leaf if case.origin is not None else None
    if case.origin is None or source is None or case.step == 0 or not source.stats.num_nonfinite:
        return None
    if not _follows(case, source):
        return None
    trained = [e for e in case.leaves if e.kind == "parameter" and e.is_updated]
    healthy = bool(trained) and not any(e.stats.num_nonfinite for e in trained)
    others = f", while the {words.plural(len(trained), 'parameter')} in training are finite" if healthy else ""
    used = words.cite(case.origin.operation)
    return Cause(
        name="poisoned_average",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)}, which no optimizer updates, held {nonfinite(source.stats)} among "
        f"{words.plural(source.stats.numel, 'element')} when step {case.step} began{others}{used and '; used'}{used}.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind != "batch" and e.stats.num_nonfinite),
        confidence=0.95,
        advice=(
            "Move the average only after steps whose losses, gradients and parameters are finite, and put it back to "
            "its last finite state, or copy the model into it anew: waiting does not wash a NaN out."
        ),
    )


def _follows(case: Case, source: Leaf) -> bool:
    """Whether it belongs to a model that no optimizer updates."""
    if source.kind == "parameter":
        return source.is_updated is False
    module = source.name.rpartition(".")[0]
    beside = [e for e in case.leaves if e.kind == "parameter" and e.name.rpartition(".")[0] == module]
    return source.kind == "buffer" and bool(beside) and all(e.is_updated is False for e in beside)
