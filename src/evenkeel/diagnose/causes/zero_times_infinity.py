"""An infinity that meant "leave this out" was multiplied by 0 or subtracted from itself.

What you see:
    NaN in the forward pass, out of a product, a difference, a sum or a matrix product that received
    infinities.
Why:
    -inf is a fine mask inside a softmax. Outside it meets 0 (p·log p of a masked action) or another
    infinity, and 0·inf and inf - inf are NaN.
Bad:
    entropy = -(p * log_p).sum(-1)                          # masked actions: p = 0, log_p = -inf
Good:
    entropy = -(p * log_p.masked_fill(mask, 0)).sum(-1)     # finite before the product
Not this:
    Where the infinity came out of an overflow (exp_overflow, product_overflow) or of log(0)
    (log_of_nonpositive), that is the cause, and this only where it became visible.
Source:
    ray#10165 (Denchmark).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Link, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK205"
FAMILY: Family = "domain"

_PRODUCTS = frozenset({"mul", "mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addcmul", "lerp", "square", "prod"})
_DIFFERENCES = frozenset({"sub", "rsub", "add", "sum", "mean", "cumsum"})
_RATIOS = frozenset({"div"})


def judge(case: Case) -> Cause | None:
    """NaN out of operands that hold infinities and no NaN, in forward."""
    origin = evidence.born_forward(case, _PRODUCTS | _DIFFERENCES | _RATIOS)
    if origin is None or not _combines(origin):
        return None
    operation = origin.operation
    placed = next((link for link in case.chain if link.role == "constant placed"), None)
    computed = any(link.role == "infinity born" for link in case.chain)
    return Cause(
        name="zero_times_infinity",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} made NaN of "
        f"{_what(origin)}{words.at(origin)}{words.cite(operation)}{_placed(placed, operation)}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.5 if computed else 0.85,
        advice=(
            "Put a finite number in place of the infinity before this line: fill log p with 0 where the "
            "action is masked, since its p is 0 anyway; multiply by a mask only what is finite, or choose "
            "with torch.where."
        ),
    )


def _combines(origin: Origin) -> bool:
    """Whether NaN came out although none went in, and infinities did go in."""
    operation = origin.operation
    went_in = any(stats.num_posinf + stats.num_neginf for stats in operation.inputs)
    nan_in = any(stats.num_nan for stats in operation.inputs)
    return went_in and not nan_in and any(stats.num_nan for stats in operation.outputs)


def _what(origin: Origin) -> str:
    """The combination, from the first bad element, else from the kind of operation."""
    name = evidence.base(origin.operation)
    values = origin.elements[0].operands if origin.elements else ()
    joined = {"div": " / ", "sub": " - ", "add": " + "}.get(name, " · ")
    if len(values) > 1:
        return joined.join(number(value) for value in values)
    return "inf - inf" if name in _DIFFERENCES else "inf / inf" if name in _RATIOS else "0 · inf"


def _placed(link: Link | None, operation: Operation) -> str:
    """Who put the infinity there."""
    if link is None:
        return ""
    return f"; the infinity was placed by {evidence.base(link.operation)}{words.cite(link.operation, unless=operation)}"
