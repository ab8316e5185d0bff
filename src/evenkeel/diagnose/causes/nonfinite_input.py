"""The data were bad before the step touched them.

What you see:
    NaN or inf in the loss of one batch; the same batch fails again whenever it comes up.
Why:
    A file holds NaN for "missing", a depth of 0 was inverted, a log was taken of a zero count while
    preparing the data.
Bad:
    loss = F.mse_loss(prediction, target)                # target holds NaN where nothing was measured
Good:
    valid = torch.isfinite(target)
    error = (prediction - torch.where(valid, target, 0.0)) ** 2
    loss = torch.where(valid, error, 0.0).sum() / valid.sum().clamp(min=1)
Not this:
    Parameters or buffers that were bad when the step began are state_already_bad.
Source:
    Marigold#111.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Leaf
from evenkeel.diagnose import evidence, words

CODE = "EK241"
FAMILY: Family = "data"

_DATA = frozenset({"batch", "external"})


def judge(case: Case) -> Cause | None:
    """The bad value came in with the batch, or with another tensor that no operation of the step made."""
    source = case.origin.leaf if case.origin is not None and not evidence.is_mask(case) else None
    is_origin = source is not None
    if source is None and case.origin is None:
        source = next((e for e in case.leaves if e.kind == "batch" and e.stats.num_nonfinite), None)
    if source is None or source.kind not in _DATA or not source.stats.num_nonfinite:
        return None
    samples = _samples(case.origin) if case.origin is not None else ""
    return Cause(
        name="nonfinite_input",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(source)} holds {_counts(source)} of "
        f"{words.plural(source.stats.numel, 'element')} before any operation of step {case.step} touches "
        f"it{_first_use(case.origin)}{samples}.",
        evidence=(words.tensor(source.stats),),
        confidence=0.97 if is_origin else 0.8,
        advice=(
            "Look at these samples in the data set. If the entries are missing values, fill them before "
            "any arithmetic and leave them out of the mean; if not, repair the file or the step of "
            "preparation that made them."
        ),
    )


def _counts(source: Leaf) -> str:
    """How many of which kind."""
    stats = source.stats
    kinds = ((stats.num_nan, "NaN"), (stats.num_posinf, "inf"), (stats.num_neginf, "-inf"))
    return " and ".join(f"{count:,} {kind}" for count, kind in kinds if count)


def _first_use(origin: Origin | None) -> str:
    """The line that first used it."""
    return f"; first used{words.cite(origin.operation)}" if origin is not None and origin.operation.place else ""


def _samples(origin: Origin) -> str:
    """The rows of the batch."""
    if not origin.samples:
        return ""
    total = f" of {origin.num_samples}" if origin.num_samples else ""
    return f"; {words.plural(len(origin.samples), 'sample')}{total}: {words.some(origin.samples)}"
