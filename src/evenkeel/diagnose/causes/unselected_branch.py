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
        "where",
        "masked_fill",
        "masked_scatter",
        "index_put",
        "index_add",
        "scatter",
        "scatter_add",
        "select",
        "slice",
        "select_scatter",
        "slice_scatter",
        "threshold",
    }
)
_WORDS_OF_CHOICE = ("where(", "mask")


def judge(case: Case) -> Cause | None:
    """A gradient of exactly 0 met an infinite slope, or an infinity that the loss does not use."""
    origin = evidence.born_backward(case)
    if origin is None or not _met_zero(origin):
        return None
    operation, selector = origin.operation, _selector(case)
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


def _selector(case: Case) -> Operation | None:
    """The backward operation that sent the 0: of a where, of an index, or of a product with a mask."""
    backward = [operation for operation in case.incoming if operation.phase == "backward"]
    return next((operation for operation in backward if _selects(operation)), None)


def _selects(operation: Operation) -> bool:
    if evidence.base(operation) == "mul":
        return any(stats.min == 0.0 and stats.max == 1.0 for stats in operation.inputs)
    return evidence.base(operation) in _SELECTORS


def _source(operation: Operation) -> str:
    return operation.place.source if operation.place is not None else ""


def _text(origin: Origin, operation: Operation) -> str:
    """What met what, and where."""
    name, place = evidence.base(operation), f"{words.at(origin)}{words.cite(operation)}"
    derivative = origin.derivative or operation
    met = " and ".join(number(value) for value in origin.elements[0].operands)
    return (
        f"The branch with {name}{place} was not taken: the gradient that arrives is exactly 0, but its "
        f"derivative ({evidence.base(derivative)} of {met}) is NaN."
    )


def _evidence(operation: Operation, selector: Operation | None) -> tuple[str, ...]:
    """The ranges, and who sent the 0."""
    ranges = tuple(words.tensor(stats) for stats in operation.inputs)
    if selector is None:
        return ranges
    return (f"the gradient of 0 came through {evidence.base(selector)}{words.cite(selector)}", *ranges)
