"""A large negative mask constant overflowed to -inf.

What you see:
    A softmax that returns NaN for padded rows, in float16 or bfloat16, sometimes in float32 with two masks
    added.
Why:
    -1e9 does not exist in float16 and becomes -inf; finfo.min plus a negative score lies below the range. A
    row of such entries is -inf throughout, and its softmax is NaN.
Bad:
    weights = torch.softmax(scores + mask * -1e9, -1)                  # float16
Good:
    low = torch.finfo(scores.dtype).min
    weights = torch.softmax(scores.masked_fill(mask, low), -1)         # set; then zero the empty rows
Not this:
    A mask that was -inf from the beginning is fully_masked_row.
Source:
    transformers#17306; apex#93; ggmlc#13.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, masks, words
from evenkeel.diagnose.limits import limits_of

CODE = "EK225"
FAMILY: Family = "range"


def judge(case: Case) -> Cause | None:
    """-inf out of the arithmetic of a mask constant."""
    origin = evidence.born(case)
    operation = next((o for o in evidence.births(case) if masks.overflowed_mask(o) is not None), None)
    if origin is None or operation is None:
        return None
    constant = masks.overflowed_mask(operation) or 0.0
    dtype = evidence.dtype_of(operation)
    limits = limits_of(dtype)
    lowest = f", whose lowest number is {number(-limits.largest)}" if limits is not None else ""
    later = next((link.operation for link in case.chain if link.role == "became nan"), None)
    seen = f"; {evidence.base(later)} made NaN of it{words.cite(later, unless=operation)}" if later is not None else ""
    where = words.at(origin) if operation is origin.operation else ""
    return Cause(
        name="mask_constant_overflow",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} with the mask constant {number(constant)} gave -inf in "
        f"{dtype}{lowest}{where}{words.cite(operation)}{seen}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.95,
        advice="Set instead of adding or multiplying: scores.masked_fill(mask, "
        "torch.finfo(scores.dtype).min) with a boolean mask, and set the result of rows without an allowed "
        "key to 0.",
    )
