"""A matrix without an inverse was inverted, or its log-determinant was taken.

What you see:
    inf or NaN out of inv_ex, solve_ex, lu_solve, cholesky_solve, solve_triangular, logdet or slogdet. inv, solve
    and cholesky raise an error instead; on CUDA rounding may leave a finite log-determinant.
Why:
    A pivot of the factorisation is exactly 0: two equal rows, a feature that never varies, or a covariance of
    fewer samples than features, whose rank is at most their number.
Bad:
    precision = torch.linalg.inv_ex(x.T @ x / n).inverse          # 10 samples of 40 features: rank 10
Good:
    ridge = 1e-3 * covariance.diagonal().mean()
    precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance + ridge * torch.eye(d)))
Not this:
    A finite decomposition whose gradient is bad is degenerate_decomposition; the logarithm of a determinant
    that is 0 is log_of_nonpositive. torch.linalg.det itself has a finite gradient at a singular matrix.
Source:
    LAPACK's getrf (INFO > 0: U(i,i) is exactly zero); pytorch#45805, #154312; Ledoit and Wolf (2004).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, lineage, makers, words

CODE = "EK206"
FAMILY: Family = "domain"

_SCALINGS = makers.COPIES | {"div", "mul"}
_PRODUCTS = frozenset({"mm", "bmm"})


def judge(case: Case) -> Cause | None:
    """A solver or log-determinant whose result is not finite although its matrix is."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in evidence.SOLVERS:
        return None
    operation = origin.operation
    bad = any(stats.num_nonfinite for stats in operation.outputs if "float" in stats.dtype)
    if not bad or not evidence.is_finite(operation):
        return None
    name = evidence.base(operation).removeprefix("linalg_")
    return Cause(
        name="singular_matrix",
        code=CODE,
        family=FAMILY,
        text=f"{name} received a singular matrix{_where(origin)}{words.cite(operation)}: "
        f"{_why(operation)}{_rank(case, operation)}.",
        evidence=tuple(words.tensor(stats) for stats in (*operation.inputs, *operation.outputs)),
        confidence=0.9,
        advice=(
            "Add a ridge on the scale of the diagonal to the matrix, A + r * A.diagonal().mean() * I, or leave out "
            "what is constant or double; where no inverse is needed, take torch.linalg.pinv or lstsq. For a "
            "log-determinant learn the Cholesky factor with a diagonal of exp(a): it is 2 * a.sum()."
        ),
    )


def _where(origin: Origin) -> str:
    """Which matrix of a batch; the elements of a gradient say nothing of that."""
    if evidence.in_backward(origin) or not origin.elements:
        return ""
    index = origin.elements[0].index
    matrix = index if evidence.base(origin.operation) == "linalg_slogdet" else index[:-2]
    return f", {list(matrix)} of the batch," if matrix else ""


def _why(operation: Operation) -> str:
    """What the factorisation says: the pivot's number of a failed one, the determinant, else the result."""
    number = _failed_pivot(operation)
    if number is not None:
        return f"pivot {number:,} of its factorisation is exactly 0"
    if evidence.base(operation) == "linalg_slogdet":
        return "its determinant is 0, and the logarithm of that is -inf"
    return "a diagonal entry of its factor is 0, or so small that dividing by it overflows"


def _failed_pivot(operation: Operation) -> int | None:
    """LAPACK's INFO, the last output of inv_ex and solve_ex; of a batch, of one of its matrices."""
    info = operation.outputs[-1] if operation.function.endswith("_ex") else None
    return int(info.max) if info is not None and info.max is not None and info.max > 0.0 else None


def _rank(case: Case, operation: Operation) -> str:
    """A bound on the rank, where the matrix is a product of two thin ones."""
    product = makers.nearest(case, lineage.maker(case, operation, 0), makers.named(_PRODUCTS), makers.named(_SCALINGS))
    matrix = operation.inputs[0] if operation.inputs else None
    if product is None or matrix is None or not matrix.shape or not product.inputs:
        return ""
    inner, size = product.inputs[0].shape[-1], matrix.shape[-1]
    if inner >= size:
        return ""
    return f"; it is a product over {inner:,}, so of its {size:,} rows at most {inner:,} are independent"
