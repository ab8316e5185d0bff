"""Running statistics took in a bad batch and keep it.

What you see:
    Training goes on with finite losses while evaluation returns NaN; or a buffer such as running_var is not
    finite.
Why:
    BatchNorm mixes each batch into running_mean and running_var in the forward pass, before anybody has
    looked at the loss. Skipping the update does not undo that, and no later batch washes a NaN out.
Bad:
    loss = f(model(x)); if not loss.isfinite(): continue       # the buffers are already poisoned
Good:
    keep = {k: v.clone() for k, v in model.named_buffers()}     # restore them when the step is skipped
Not this:
    NaN in the batch itself is nonfinite_input, which then explains the buffer too.
Source:
    "Poisoned running statistics" among the precision faults of the case collection; no thread of its own.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.diagnose import evidence, words

CODE = "EK271"
FAMILY: Family = "precision"

_STATISTICS = ("running_mean", "running_var", "running_std", "ema", "moving_")


def judge(case: Case) -> Cause | None:
    """A buffer went bad in this step, or running statistics were bad when it began."""
    source = case.origin.leaf if case.origin is not None else None
    went_bad = case.symptom.kind == "buffer"
    was_bad = source is not None and source.kind == "buffer" and any(word in source.name for word in _STATISTICS)
    if not went_bad and not was_bad:
        return None
    name = source.name if source is not None and was_bad else case.symptom.name
    when = f"was not finite when step {case.step} began" if was_bad else f"took in a bad value in step {case.step}"
    origin = evidence.born(case)
    made = f", made by {evidence.base(origin.operation)}{words.cite(origin.operation)}" if origin is not None else ""
    return Cause(
        name="poisoned_buffer",
        code=CODE,
        family=FAMILY,
        text=f"The buffer {name} {when}{made}; it keeps it, because running statistics never forget a NaN.",
        evidence=tuple(words.tensor(e.stats) for e in case.leaves if e.kind == "buffer" and e.stats.num_nonfinite),
        confidence=0.93,
        advice=(
            "Put the buffers back to their values before the bad batch (evenkeel does so when it skips a "
            "step), or reset them with reset_running_stats() and run some batches in train mode. Then cure "
            "what made the bad value."
        ),
    )
