"""One step before the failure had a gradient far beyond the usual, and its update did the damage.

What you see:
    A run that was healthy for long fails within a few steps: the norm of the gradients jumped once, the loss or the
    weights jumped after it, and the value that is not finite comes last.
Why:
    A single batch (a broken record, a rare label, a sequence far longer than the others) or a sharp corner of the
    loss gives a gradient many times the usual. One update by it carries the weights where the next steps overflow.
    The step that fails is not the step to look at.
Bad:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)        # a bound that no gradient ever reaches
Good:
    torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)        # a small multiple of the usual norm
Not this:
    Norms that rise from step to step are step_too_large. A norm that is not finite in the failing step itself tells
    where the overflow arrived, not where it came from.
Source:
    PaLM: Scaling Language Modeling with Pathways (training instability), on loss spikes and skipped batches.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, masks, words

CODE = "EK256"
FAMILY: Family = "dynamics"

_FACTOR = 20.0  # times the usual norm
_SUDDEN = 3.0  # times the largest norm before it, while the last one is no larger than that against the usual
_MOST_STEPS = 20  # between the spike and the failure
_FEWEST = 5  # norms before it, to know what is usual
_SHOWN = 12


class _Spike(NamedTuple):
    before_failure: int  # steps
    norm: float
    usual: float


def judge(case: Case) -> Cause | None:
    """A norm of 20 times the usual shortly before a failure of the kind that size brings about."""
    spike = _spike(case.gradient_norms)
    origin = evidence.born(case)
    if spike is None or origin is None:
        return None
    overflow = evidence.overflow(origin)
    is_log = evidence.base(origin.operation) in evidence.LOGARITHMS
    if not is_log and (overflow is None or masks.overflowed_mask(overflow) is not None):
        return None
    consequence = _consequence(case, spike)
    step, ago = case.step - spike.before_failure, words.plural(spike.before_failure, "step")
    factor = number(round(spike.norm / spike.usual))
    return Cause(
        name="gradient_spike",
        code=CODE,
        family=FAMILY,
        text=f"The update of step {step}, {ago} before the failure, was made with gradients of norm "
        f"{number(spike.norm)}, {factor} times the usual {number(spike.usual)}{consequence}; "
        f"{evidence.base(origin.operation)} failed{words.cite(origin.operation)}.",
        evidence=(f"norms of the gradients, step by step: {', '.join(map(number, case.gradient_norms[-_SHOWN:]))}",),
        confidence=0.94 if consequence and not is_log else 0.5,
        advice=(
            f"Look at the batch of step {step}. Clip the gradients by a small multiple of "
            f"the usual norm ({number(spike.usual)}), so that no single step can do this, go back to the state before "
            "that step, and leave its batch out if its data are wrong."
        ),
    )


def _spike(norms: Sequence[float]) -> _Spike | None:
    """The first jump among the norms of the last steps, the failing one excluded."""
    for position in range(max(_FEWEST, len(norms) - 1 - _MOST_STEPS), len(norms) - 1):
        norm, before = norms[position], [value for value in norms[:position] if math.isfinite(value)]
        if len(before) < _FEWEST or not math.isfinite(norm):
            continue
        usual = statistics.median(before)
        is_sudden = before[-1] <= _SUDDEN * usual and norm >= _SUDDEN * max(before)
        if usual > 0.0 and norm >= _FACTOR * usual and is_sudden:
            return _Spike(len(norms) - 1 - position, norm, usual)
    return None


def _consequence(case: Case, spike: _Spike) -> str:
    """What jumped after it: the loss of the steps between, or the weights."""
    at = len(case.losses) - spike.before_failure + 1
    earlier, later = case.losses[: max(at, 0)], case.losses[max(at, 0) :]
    usual = statistics.median(map(abs, earlier)) if earlier else 0.0
    if later and usual > 0.0 and max(map(abs, later)) >= history.CLEAR_GROWTH * usual:
        return f", and the loss rose from {number(usual)} to {number(max(map(abs, later)))} after it"
    if history.growth(case.weight_peaks) >= history.CLEAR_GROWTH:
        grown = number(round(history.growth(case.weight_peaks)))
        return f", and the largest weight is {number(case.weight_peaks[-1])} now, {grown} times what it was"
    return ""
