"""One tensor of the batch holds a number far beyond any data.

What you see:
    An overflow in one batch, while its neighbours are healthy.
Why:
    A sensor's error code, a wrong unit, an uninitialised cell of a file: 2e22 is finite, so checks for NaN
    let it pass, and its square is infinite.
Bad:
    x = torch.from_numpy(raw)
Good:
    x = torch.from_numpy(raw)
    assert x.abs().max() < 1e6, f"row {x.abs().flatten(1).max(1).values.argmax()} is out of range"
Not this:
    Inputs that are large throughout are scale_mismatch. NaN or inf in the data is nonfinite_input.
Source:
    pytorch#46849 (one input of 2e22).
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, history, words

CODE = "EK243"
FAMILY: Family = "data"

_BEYOND_DATA = 1e10  # nothing that is measured and reasonably scaled comes near


def judge(case: Case) -> Cause | None:
    """An overflow in a step whose batch reaches 1e10 or more."""
    origin = evidence.born(case)
    extreme = history.largest(case, "batch")
    if origin is None or extreme is None or extreme.stats.magnitude < _BEYOND_DATA:
        return None
    if evidence.overflow(origin) is None:
        return None
    samples = f"; samples {words.some(origin.samples)} lead to the bad value" if origin.samples else ""
    return Cause(
        name="outlier_input",
        code=CODE,
        family=FAMILY,
        text=f"{words.leaf(extreme)} reaches {number(extreme.stats.magnitude)}, and "
        f"{evidence.base(origin.operation)} overflowed{words.cite(origin.operation)}{samples}.",
        evidence=(words.tensor(extreme.stats),),
        confidence=0.83,
        advice="Look at this sample: a number of this size is a wrong unit, an error code or a damaged "
        "file. Repair it, or leave it out by a rule that is written down and counted.",
    )
