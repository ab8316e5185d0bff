"""The vectors of a matrix decomposition are not differentiable where two values coincide.

What you see:
    A finite loss and NaN gradients after svd, eigh, eig or qr.
Why:
    The derivative of singular or eigenvectors divides by the differences of the values. Two equal values,
    or two that are 0 because the rank is deficient, leave the vectors undetermined, and the division is
    0/0.
Bad:
    u, s, vh = torch.linalg.svd(a); loss = f(u)           # a of rank 3 and size 15
Good:
    loss = f(torch.linalg.svdvals(a))                     # values, or projectors u @ u.T, are determined
Not this:
    An ordinary division by 0 names div as its forward operation, not the decomposition.
Source:
    pytorch#49886.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent
from evenkeel.diagnose import evidence, words

CODE = "EK215"
FAMILY: Family = "gradient_singularity"

_DECOMPOSITIONS = frozenset(
    {
        "svd",
        "eigh",
        "eig",
        "qr",
        "symeig",
        "cholesky",
        "linalg_cholesky_ex",
        "lu_factor",
        "linalg_lu_factor_ex",
    }
)
_WITH_VALUES = {"svd": 1, "eigh": 0, "eig": 0}  # which output holds the values


def judge(case: Case) -> Cause | None:
    """The derivative of a decomposition is bad although the decomposition itself is finite."""
    origin = evidence.born_backward(case, _DECOMPOSITIONS)
    if origin is None or any(stats.num_nonfinite for stats in origin.operation.outputs):
        return None
    operation = origin.operation
    name, values = evidence.base(operation), _values(operation)
    spread = f"; its values span {extent(values)}" if values is not None else ""
    return Cause(
        name="degenerate_decomposition",
        code=CODE,
        family=FAMILY,
        text=f"The gradient of {name} divides by differences of its values, and some of those are 0"
        f"{words.cite(operation)}: the matrix has equal values or is rank-deficient{spread}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.95,
        advice=(
            "Write the loss on what is determined: the singular or eigenvalues alone (svdvals, eigvalsh), "
            "or the projector U @ U.T. Detach the vectors if they only serve as a basis."
        ),
    )


def _values(operation: Operation) -> TensorStats | None:
    """The singular or eigenvalues among the outputs."""
    position = _WITH_VALUES.get(evidence.base(operation), len(operation.outputs))
    return operation.outputs[position] if position < len(operation.outputs) else None
