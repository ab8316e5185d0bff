"""The branch that a `where` or a mask did not take is still differentiated.

What you see:
    A finite loss and NaN gradients, at elements whose value came from the other branch.
Why:
    torch.where computes both branches and sends a gradient of 0 into the one not taken. There 0 is
    multiplied by an infinite slope, or 0 is divided by 0, and both are NaN. A mask that multiplies does the
    same.
Bad:
    y = torch.where(x > 0, torch.log(x), 0.0)
Good:
    safe = torch.where(x > 0, x, 1.0)                  # the argument itself is harmless in the dead branch
    y = torch.where(x > 0, torch.log(safe), 0.0)
Not this:
    If the gradient that arrives is not 0, the branch was taken: see root_gradient_at_zero and
    log_of_nonpositive.
Source:
    pytorch#108618, #36923, #23395, #156212.
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, words

CODE = "EK212"
FAMILY: Family = "gradient_singularity"

_SELECTORS = frozenset(
    {
        *("where", "masked_fill", "masked_scatter", "threshold", "select", "slice", "select_scatter", "slice_scatter"),
        *("index_put", "index_add", "scatter", "scatter_add"),
    }
)
# Their derivative computes an infinite slope first and multiplies it by the gradient next.
_SLOPES = evidence.GAMMAS | {"pow"}
_SOON = 2
_WORDS_OF_CHOICE = ("where(", "mask")


def judge(case: Case) -> Cause | None:
    """A gradient of exactly 0 met an infinite slope, or an infinity that the loss does not use."""
    origin = evidence.born_backward(case)
    if origin is None or not (_met_zero(origin) or _slope_met_zero(case, origin)):
        return None
    operation, selector = origin.operation, _selector(case, origin)
    if selector is None and not any(word in _source(operation) for word in _WORDS_OF_CHOICE):
        return None
    return Cause(
        name="unselected_branch",
        code=CODE,
        family=FAMILY,
        text=_text(origin, operation),
        evidence=_evidence(operation, selector),
        confidence=0.92,
        advice=(
            f"Choose twice: give {evidence.base(operation)} a harmless argument where its branch is not "
            "taken, torch.where(ok, x, 1), and choose the result with the same condition. The values stay "
            "the same."
        ),
    )


def _met_zero(origin: Origin) -> bool:
    """Whether every bad element is NaN and the gradient that arrived there is exactly 0."""
    if not origin.elements or not all(element.result != element.result for element in origin.elements):
        return False
    if evidence.base(origin.derivative or origin.operation) == "div":
        gradients = evidence.operands(origin, "self")
        return bool(gradients) and all(gradient == 0.0 for gradient in gradients)
    return all(0.0 in element.operands for element in origin.elements)


def _slope_met_zero(case: Case, origin: Origin) -> bool:
    """Whether the slope was infinite and became NaN in its product with a gradient that holds a 0."""
    product = next((link.operation for link in case.chain if link.role == "became nan"), None)
    if product is None or origin.derivative is None or evidence.base(origin.operation) not in _SLOPES:
        return False
    soon = evidence.base(product) == "mul" and 0 < product.index - origin.derivative.index <= _SOON
    return soon and any(evidence.num_zeros(stats) for stats in product.inputs if not stats.num_nonfinite)


def _selector(case: Case, origin: Origin) -> Operation | None:
    """The backward operation that sent the 0: of a where, an index, or a mask, unless it would have met an infinity."""
    names = _SELECTORS if evidence.absorbed(origin) else _SELECTORS | {"mul"}
    backward = [o for o in case.incoming if o.phase == "backward" and evidence.base(o) in names]
    return next((o for o in backward if evidence.base(o) != "mul" or _is_masked(o)), None)


def _is_masked(product: Operation) -> bool:
    return any(stats.min == 0.0 and stats.max == 1.0 for stats in product.inputs)


def _source(operation: Operation) -> str:
    return operation.place.source if operation.place is not None else ""


def _text(origin: Origin, operation: Operation) -> str:
    """What met what, and where."""
    name, place = evidence.base(operation), f"{words.at(origin)}{words.cite(operation)}"
    derivative = origin.derivative or operation
    met = " and ".join(number(value) for value in origin.elements[0].operands)
    slope = "NaN" if _met_zero(origin) else "infinite, and 0·inf is NaN"
    return (
        f"The branch with {name}{place} was not taken: the gradient that arrives is exactly 0, but its "
        f"derivative ({evidence.base(derivative)} of {met}) is {slope}."
    )


def _evidence(operation: Operation, selector: Operation | None) -> tuple[str, ...]:
    """The ranges, and who sent the 0."""
    ranges = tuple(words.tensor(stats) for stats in operation.inputs)
    if selector is None:
        return ranges
    return (f"the gradient of 0 came through {evidence.base(selector)}{words.cite(selector)}", *ranges)
