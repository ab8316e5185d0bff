"""The updates of the last steps were too large.

What you see:
    Losses or weights that multiply from step to step, then an overflow or a log(0).
Why:
    Beyond a learning rate of 2 / (largest curvature) every step overshoots by more than the one before. Raw
    features of size 300 raise the curvature 90,000 times; a recurrent network without clipping does the
    rest.
Bad:
    torch.optim.SGD(model.parameters(), lr=0.5)               # on raw ages and cholesterol values
Good:
    x = (x - mean) / std; torch.optim.SGD(model.parameters(), lr=0.05)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)  # recurrent networks
Not this:
    An overflow in the very first step, or after steady losses and weights, has another reason. A lower
    learning rate only postpones log(softmax): see log_of_nonpositive.
Source:
    TensorFlow-Program-Bugs IPS-15 (Stack Overflow 43636736), IPS-13 (45002504); pytorch/examples PR#223.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, masks, words

CODE = "EK251"
FAMILY: Family = "dynamics"

_BEYOND_A_LOG = 100.0  # -log of a float32 probability ends at 104: a log loss alone does not grow like this


def judge(case: Case) -> Cause | None:
    """Clear growth before the step, and a failure that growth explains."""
    if case.step == 0 or not _fails_by_size(case):
        return None
    grown = _growth(case, strict=_is_log(evidence.born(case)))
    if grown is None:
        return None
    origin = evidence.born(case)
    seen = f", until {evidence.base(origin.operation)} failed{words.cite(origin.operation)}" if origin else ""
    return Cause(
        name="step_too_large",
        code=CODE,
        family=FAMILY,
        text=f"{grown}{seen}: the updates overshoot.",
        evidence=_evidence(case),
        confidence=0.93,
        advice=(
            "Standardise the inputs first, since they set the curvature; then lower the learning rate "
            "(below 2 divided by the largest curvature) or warm it up, and clip the gradient's norm "
            "between backward and step."
        ),
    )


def _fails_by_size(case: Case) -> bool:
    """Whether the failure is an overflow, a log at its edge, or a spike: what growth can bring about."""
    if case.symptom.kind == "spike":
        return True
    origin = evidence.born(case)
    if origin is None:
        return False
    operation = evidence.overflow(origin)
    return _is_log(origin) or (operation is not None and masks.overflowed_mask(operation) is None)


def _is_log(origin: Origin | None) -> bool:
    return origin is not None and evidence.base(origin.operation) in evidence.LOGARITHMS


def _growth(case: Case, *, strict: bool) -> str | None:
    """What grew and how much; None when nothing did. A log loss must grow beyond what a log alone can do."""
    enough = _BEYOND_A_LOG if strict else history.CLEAR_GROWTH
    if history.growth(case.weight_peaks) >= enough:
        return f"The largest weight grew {_times(case.weight_peaks)} ({words.history(case.weight_peaks)})"
    if history.growth(case.losses) >= enough:
        return f"The loss grew {_times(case.losses)} in the steps before ({words.history(case.losses)})"
    jump = history.weight_jump(case)
    if jump is None:
        return None
    return f"After {words.plural(case.step, 'update')} the largest weight is {number(jump)}"


def _times(values: tuple[float, ...]) -> str:
    return f"{number(history.growth(values))} times"


def _evidence(case: Case) -> tuple[str, ...]:
    """The histories, and the size of the inputs, which sets the curvature."""
    lines = []
    if case.losses:
        lines.append(f"losses before this step: {words.history(case.losses)}")
    if case.weight_peaks:
        lines.append(f"largest weight after each step: {words.history(case.weight_peaks)}")
    batch = history.largest(case, "batch")
    if batch is not None:
        lines.append(f"{words.leaf(batch)} reaches {number(batch.stats.magnitude)}")
    return tuple(lines)
