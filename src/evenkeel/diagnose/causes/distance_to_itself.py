"""The distance of two points that are the same was taken by a root.

What you see:
    A finite loss and NaN gradients as soon as two rows are equal: the diagonal of a matrix of distances, a sample
    that is drawn twice, a prediction that hits its target exactly.
Why:
    sqrt(Σ(x - y)²) has an infinite slope where x = y, and Σ's own derivative 2(x - y) is 0 there: inf·0. A mask
    after the root comes too late. A norm's slope at 0 is set to 0, its second derivative is not.
Bad:
    distance = (x[:, None] - x[None]).square().sum(-1).sqrt()      # the diagonal is 0
Good:
    distance = torch.cdist(x, x)                                   # or (x[:, None] - x[None]).norm(dim=-1)
    i, j = torch.triu_indices(n, n, offset=1)                      # or no pair of a point with itself
Not this:
    A root of anything but a difference is root_gradient_at_zero; of a number less its own mean, that too. A gradient
    that a where or a mask set to 0 is unselected_branch. 1 / distance is division_by_zero.
Source:
    sentence-transformers PR#4033; deepmd-kit PR#5119; pytorch#2421.
"""

from __future__ import annotations

from collections.abc import Collection

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence, lineage, makers, words

CODE = "EK218"
FAMILY: Family = "gradient_singularity"

_BETWEEN = makers.COPIES | {"sum", "mean", "clamp", "clamp_min", "relu", "maximum"}
_SIGNS_AND_FACTORS = makers.COPIES | {"mul", "neg", "div"}
_PRODUCTS = frozenset({"mm", "bmm"})
_PRODUCTS_ADDED = frozenset({"addmm", "baddbmm"})


def judge(case: Case) -> Cause | None:
    """The derivative of a root at 0 whose radicand is a squared difference; of a norm, the second derivative."""
    origin = evidence.born_backward(case)
    root = _root(case, origin) if origin is not None else None
    found = _difference(case, root) if root is not None else None
    if origin is None or root is None or found is None:
        return None
    difference, what = found
    order = "second derivative" if evidence.base(root) == "norm" else "slope"
    return Cause(
        name="distance_to_itself",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(root)}{words.cite(root)} received exactly 0{words.at(origin)}, {what}"
        f"{words.cite(difference, unless=root)}{_diagonal(origin)}: at a distance of 0 its {order} is infinite.",
        evidence=(*(words.tensor(s) for s in difference.inputs), *(words.tensor(s) for s in root.inputs)),
        confidence=0.9,
        advice=(
            "Use a distance whose slope at 0 is 0: torch.cdist or (x - y).norm(dim=-1). Where it is differentiated "
            "twice, keep equal points away from the root, by pairs from triu_indices or by torch.where(d2 > 0, d2, "
            "1), not by a mask after it. For a root of a mean squared error take the error itself, or put the "
            "epsilon inside."
        ),
    )


def _root(case: Case, origin: Origin) -> Operation | None:
    """The root at 0: the operation itself, or the norm by which the derivative of a norm divides."""
    operation = origin.operation
    if operation.phase == "backward" and evidence.base(operation) == "div":
        norm = lineage.maker(case, operation, 1)
        return norm if norm is not None and evidence.base(norm) == "norm" else None
    is_root = evidence.base(operation) in evidence.ROOTS - {"rsqrt"}
    return operation if is_root and evidence.is_root_of_zero(operation) else None


def _difference(case: Case, root: Operation) -> tuple[Operation, str] | None:
    """What the root was taken of, if that is a distance, and in which words; else None."""
    start = lineage.maker(case, root, 0)
    plain = makers.nearest(case, start, makers.named(_PRODUCTS_ADDED | {"sub"}), makers.named(_BETWEEN))
    if plain is not None and evidence.base(root) not in {"norm", "hypot"}:
        return (plain, "|x|² + |y|² - 2x·y of two equal points") if _has_product(case, plain) else None
    found = plain or makers.nearest(case, start, makers.named({"sub", "mse_loss"}), _is_between)
    if found is None or _is_own_spread(case, found) or not any(_holds_zero(s) for s in found.outputs[:1]):
        return None
    return (found, "the difference of two equal points" if evidence.base(found) == "sub" else "an error of 0")


def _is_between(operation: Operation) -> bool:
    return evidence.base(operation) in _BETWEEN or makers.is_square(operation)


def _has_product(case: Case, operation: Operation) -> bool:
    """Whether a matrix of inner products takes part: the expanded form of a squared distance."""
    return evidence.base(operation) in _PRODUCTS_ADDED or _comes_from(case, operation, _PRODUCTS, _SIGNS_AND_FACTORS)


def _is_own_spread(case: Case, operation: Operation) -> bool:
    """Whether a mean is taken away: the root is then a standard deviation."""
    return evidence.base(operation) == "sub" and _comes_from(case, operation, {"mean", "sum"}, {"div"})


def _comes_from(case: Case, operation: Operation, names: Collection[str], through: Collection[str]) -> bool:
    """Whether one of the arguments was made by such an operation."""
    sources = (lineage.maker(case, operation, position) for position in range(len(operation.made_by)))
    found = (makers.nearest(case, source, makers.named(names), makers.named(through)) for source in sources)
    return any(operation is not None for operation in found)


def _holds_zero(stats: TensorStats) -> bool:
    """Whether 0 lies in the range; else the squares underflowed."""
    return stats.min is not None and stats.max is not None and stats.min <= 0.0 <= stats.max


def _diagonal(origin: Origin) -> str:
    """Whether each point met itself, told by the indices."""
    indices = [element.index[:2] for element in origin.elements if len(element.index) > 1]
    own = len(indices) == len(origin.elements) > 0 and all(i == j for i, j in indices)
    return "; each of these is a point with itself" if own else ""
