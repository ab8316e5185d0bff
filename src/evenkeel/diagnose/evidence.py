"""Read a case: the questions that more than one cause asks."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from evenkeel.core.case import Case, Origin
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose.limits import HALF

_ALIASES = {
    "linalg_vector_norm": "norm",
    "linalg_svd": "svd",
    "linalg_eigh": "eigh",
    "linalg_eig": "eig",
    "linalg_qr": "qr",
    "native_norm": "norm",
    "safe_softmax": "softmax",
    "special_log_softmax": "log_softmax",
    "special_logsumexp": "logsumexp",
    "special_xlogy": "xlogy",
    "special_logit": "logit",
    "true_divide": "div",
    "divide": "div",
    "multiply": "mul",
    "subtract": "sub",
    "weight_norm_interface": "weight_norm",
    "arccos": "acos",
    "arcsin": "asin",
    "arccosh": "acosh",
    "arctanh": "atanh",
}
# Operations that only hand their input on; views are no operations of their own in the trace.
_ARITHMETIC = frozenset({"add", "sub", "mul", "div", "pow", "square", "exp", "abs", "clamp"})
_PASSING = frozenset({"clone", "contiguous", "copy", "to", "to_copy"})

DIVISIONS = frozenset({"div", "reciprocal"})
EXPONENTIALS = frozenset({"exp", "exp2", "expm1", "cosh", "sinh"})
LOGARITHMS = frozenset({"log", "log2", "log10", "log1p", "xlogy", "special_xlog1py"})
SATURATING = frozenset({"tanh", "sigmoid", "softmax", "erf", "softsign"})
SOFTMAXES = frozenset({"softmax", "log_softmax", "logsumexp", "logaddexp", "logaddexp2", "logcumsumexp"})
LABELLED = frozenset({"nll_loss", "nll_loss2d", "nll_loss_nd", "cross_entropy", "cross_entropy_loss"})
SUMS = frozenset({"sum", "count_nonzero", "nansum", "bincount"})
POWERS = frozenset({"pow", "rsqrt"})
ROOTS = frozenset({"sqrt", "rsqrt", "pow", "norm", "std", "hypot"})
GAMMAS = frozenset({"lgamma", "digamma", "polygamma"})
SOLVERS = frozenset(
    {
        *("linalg_inv_ex", "linalg_solve_ex", "linalg_slogdet", "linalg_lu_solve", "linalg_solve_triangular"),
        *("cholesky_solve", "triangular_solve", "cholesky_inverse"),
    }
)
_DENOMINATORS = {"reciprocal": "self", "rsqrt": "self", "pow": "self", "div": "other", "weight_norm": "v"}
_INVERSES = frozenset({"atanh", "logit", "erfinv", "special_erfinv", "special_ndtri"})
_INFINITE_AT_A_POINT = LOGARITHMS | SOFTMAXES | GAMMAS | SOLVERS | _INVERSES | {"ctc_loss", "cudnn_ctc_loss"}
_BOTH_SIGNS = 1e10


def base(operation: Operation) -> str:
    """The plain name: `_softmax` and `softmax_` are `softmax`, `nll_loss_forward` is `nll_loss`."""
    name = operation.function.strip("_").removesuffix("_forward")
    return _ALIASES.get(name, name)


def born(case: Case) -> Origin | None:
    """The origin, if an operation of this step made the bad value; None where it was bad before.

    A mask of -inf that came in from outside is not bad: what made NaN of it counts as the origin.
    """
    if case.origin is None or (case.origin.leaf is not None and not is_mask(case)):
        return None
    return case.origin


def is_mask(case: Case) -> bool:
    """Whether the origin's leaf holds -inf on purpose: no NaN, no inf, and a softmax or a product made NaN of it."""
    if case.origin is None or case.origin.leaf is None:
        return False
    stats, kind = case.origin.leaf.stats, case.origin.leaf.kind
    users = SOFTMAXES if kind == "batch" else SOFTMAXES | {"mul", "sub", "add"}
    clean = stats.num_neginf > 0 and not stats.num_nan and not stats.num_posinf
    return clean and kind in {"batch", "external"} and base(case.origin.operation) in users


def born_forward(case: Case, names: Collection[str]) -> Origin | None:
    """The origin, if it is a forward operation with one of these names."""
    origin = born(case)
    if origin is None or in_backward(origin) or base(origin.operation) not in names:
        return None
    return origin


def born_backward(case: Case, names: Collection[str] | None = None) -> Origin | None:
    """The origin, if it is the derivative of an operation with one of these names (None: of any)."""
    origin = born(case)
    if origin is None or not in_backward(origin):
        return None
    return origin if names is None or base(origin.operation) in names else None


def in_backward(origin: Origin) -> bool:
    """Whether the value was born while gradients were computed."""
    return origin.derivative is not None or origin.operation.phase == "backward"


def births(case: Case) -> Iterator[Operation]:
    """The operation of the origin, then those in which an infinity of the chain was born."""
    origin = born(case)
    if origin is None:
        return
    yield origin.operation
    for link in case.chain:
        if link.role == "infinity born" and link.operation.index != origin.operation.index:
            yield link.operation


def argument(operation: Operation, name: str) -> TensorStats | None:
    """What is known of one tensor argument."""
    return next((stats for stats in operation.inputs if stats.name == name), None)


def operands(origin: Origin, name: str) -> tuple[float, ...]:
    """The values of one argument at the bad elements; empty where no element was looked at.

    In a backward failure these are the arguments of the derivative, not of the forward operation.
    """
    names = [stats.name for stats in (origin.derivative or origin.operation).inputs]
    if name not in names:
        return ()
    position = names.index(name)
    return tuple(element.operands[position] for element in origin.elements if position < len(element.operands))


def num_zeros(stats: TensorStats) -> int:
    """How many elements are exactly 0; where none was counted, 1 if 0 is the smallest or largest."""
    if stats.num_zero is not None:
        return stats.num_zero
    return int(stats.min == 0.0 or stats.max == 0.0)


def is_finite(operation: Operation) -> bool:
    """Whether everything that went in was finite."""
    return not any(stats.num_nonfinite for stats in operation.inputs)


def overflowed(operation: Operation) -> bool:
    """Whether an infinity came out of finite numbers."""
    infinite = any(stats.num_posinf + stats.num_neginf for stats in operation.outputs)
    return infinite and is_finite(operation)


def dtype_of(operation: Operation) -> str:
    """The dtype of the result."""
    return operation.outputs[0].dtype if operation.outputs else ""


def is_half(operation: Operation) -> bool:
    """Whether the result has 16 bits or fewer."""
    return dtype_of(operation) in HALF


def upstream(case: Case, names: Collection[str], *, within: int = 8) -> Operation | None:
    """The nearest of the `within` operations before the origin that has one of these names."""
    return next((operation for operation in case.upstream[:within] if base(operation) in names), None)


def maker(case: Case, stats: TensorStats) -> Operation | None:
    """The operation that made an argument of the origin, told by dtype and range; copies are looked through.

    A producer of the same number of elements is preferred; among equals the last, since a denominator is the
    last argument and producers stand in the order of the arguments.
    """
    operation = case.origin.operation if case.origin is not None else None
    direct = case.upstream[: len(operation.inputs)] if operation is not None else ()
    fitting = [o for o in direct if any(_same_values(out, stats) for out in o.outputs)]
    same_size = [o for o in fitting if any(out.numel == stats.numel for out in o.outputs)]
    found = next(reversed(same_size or fitting), None)
    while found is not None and base(found) in _PASSING and found.inputs:
        inner, position = found.inputs[0], case.upstream.index(found)
        found = next((o for o in case.upstream[position + 1 :] if any(_same_values(x, inner) for x in o.outputs)), None)
    return found


def is_computed(case: Case, operation: Operation) -> bool:
    """Whether the operation's first input came out of arithmetic, not from outside, a comparison or a cast."""
    index = operation.made_by[0] if operation.made_by else None
    made = next((o for o in case.upstream if o.index == index), None) if index is not None else None
    return made is not None and base(made) in _ARITHMETIC


def _same_values(one: TensorStats, other: TensorStats) -> bool:
    """Whether two descriptions can be of the same tensor."""
    return (one.dtype, one.min, one.max, one.num_nonfinite) == (
        other.dtype,
        other.min,
        other.max,
        other.num_nonfinite,
    )


def denominator(operation: Operation) -> TensorStats | None:
    """The float tensor that an operation divides by; None when that is a number, or a tensor of integers."""
    return argument(operation, _DENOMINATORS.get(base(operation), ""))


def exponents(origin: Origin) -> tuple[float, ...]:
    """The exponents of a power: the number, or those at the bad elements of forward, else their range."""
    tensor = argument(origin.operation, "exponent")
    if tensor is None:
        return origin.operation.scalars
    values = () if origin.derivative is not None else operands(origin, "exponent")
    return values or tuple(value for value in (tensor.min, tensor.max) if value is not None)


def divides_by_zero(origin: Origin) -> bool:
    """Whether the forward operation divided by exactly 0, told by the bad elements, else by the counts."""
    operation = origin.operation
    name = base(operation)
    if name not in _DENOMINATORS or not is_finite(operation) or (in_backward(origin) and not absorbed(origin)):
        return False
    if name == "pow" and not any(exponent < 0.0 for exponent in exponents(origin)):
        return False
    below = denominator(operation)
    if below is None:  # a number, or integers, of which the trace keeps no range: only 0 makes a bad quotient
        return 0.0 in operation.scalars or divides_by_integers(operation)
    values = () if origin.derivative is not None else operands(origin, below.name)
    return 0.0 in values if values else num_zeros(below) > 0


def divides_by_integers(operation: Operation) -> bool:
    """Whether the denominator is a tensor of integers or bools: the trace keeps no range of those."""
    return base(operation) == "div" and denominator(operation) is None and not operation.scalars


def is_root_of_zero(operation: Operation) -> bool:
    """Whether a root was taken of exactly 0; a power counts as one, or as its inverse, between -1 and 1."""
    name = base(operation)
    known = operation.outputs if name == "hypot" else operation.inputs  # hypot is 0 where both of its arguments are
    if name not in ROOTS or not known or (name == "pow" and not any(abs(s) < 1.0 for s in operation.scalars)):
        return False
    return num_zeros(known[0]) > 0


def acting(origin: Origin) -> Operation:
    """The operation that computed the bad value.

    In a backward failure that is the derivative, unless forward had already made an infinity which the loss did not
    show and which met a gradient of 0.
    """
    return origin.derivative if origin.derivative is not None and not absorbed(origin) else origin.operation


def absorbed(origin: Origin) -> bool:
    """Whether forward made an infinity that did no harm until gradients were computed."""
    return origin.derivative is not None and overflowed(origin.operation)


def overflow(origin: Origin) -> Operation | None:
    """The operation, if it left the range of its dtype by the size of its inputs, not at a singular point."""
    operation = acting(origin)
    if base(operation) in _INFINITE_AT_A_POINT or divides_by_zero(origin) or not is_finite(operation):
        return None
    if in_backward(origin) and not absorbed(origin) and any(num_zeros(stats) for stats in operation.inputs):
        return None
    # NaN out of large finite numbers: two infinities of opposite sign met inside one sum.
    large = max((stats.magnitude for stats in operation.inputs), default=0.0) >= _BOTH_SIGNS
    has_nan = any(stats.num_nan for stats in operation.outputs)
    return operation if overflowed(operation) or (large and has_nan) else None
