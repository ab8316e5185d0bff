"""A number that is never 0 on paper underflowed to 0, and something was divided by it.

What you see:
    inf or 0/0 out of a division or a negative power whose denominator is an exponential, a probability, a product
    of many factors or the length of a very short vector.
Why:
    exp(x) is 0 below x = -104 in float32 and below -17.3 in float16; 90 factors of 0.3 are 0; the square of 1e-23
    is 0. A ratio of two such numbers is ordinary, but both must exist for it to be formed.
Bad:
    posterior = joint.exp() / joint.exp().sum(-1, keepdim=True)        # joint = -1000: 0/0
Good:
    posterior = torch.softmax(joint, -1)                               # subtracts the maximum before exp
Not this:
    A logarithm of what underflowed is log_of_nonpositive, a root's gradient root_gradient_at_zero. A denominator that
    is 0 because its terms are is division_by_zero or empty_reduction; one that is tiny is tiny_denominator.
Source:
    Blanchard, Higham and Higham (2021), "Accurately computing the log-sum-exp and softmax functions";
    huggingface/lighteval#1375; MarineRoboticsGroup/dcsam#6.
"""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.core.words import extent
from evenkeel.diagnose import evidence, makers, words

CODE = "EK229"
FAMILY: Family = "range"

_FIRST, _BESIDE_A_LOG = 0.91, 0.55
_PASSING = makers.COPIES | makers.PICKS | {"sum", "mean", "add"}
_EXPONENTIALS = frozenset({"exp", "exp2", "softmax", "sigmoid"})
_FACTORS = frozenset({"prod", "cumprod", "mul", "pow", "square", "norm"})
_REMEDIES = {
    "exp": "write exp(x) for 1 / exp(-x), and torch.softmax or logsumexp for sums of exponentials",
    "norm": "divide by the largest entry first, then by the length of what is left",
}


def judge(case: Case) -> Cause | None:
    """A division by 0, or a logarithm of 0, that an exponential or a product of numbers other than 0 made."""
    origin = evidence.born(case)
    if origin is None or evidence.in_backward(origin):
        return None
    operation, divides = origin.operation, evidence.divides_by_zero(origin)
    below = evidence.denominator(operation) if divides else _logarithms_zero(operation)
    start = makers.made_argument(case, operation, below) if below is not None else None
    lost = makers.nearest(case, start, _underflowed, makers.named(_PASSING))
    if lost is None or (not divides and evidence.base(lost) in evidence.SATURATING):
        return None
    name = evidence.base(lost)
    remedy = _REMEDIES.get("exp" if name in _EXPONENTIALS else name, "add logarithms instead of multiplying")
    verb = "divided by" if divides else "received"
    return Cause(
        name="exp_underflow",
        code=CODE,
        family=FAMILY,
        text=f"{evidence.base(operation)} {verb} 0{words.at(origin)}{words.cite(operation)} because {name} "
        f"underflowed{words.cite(lost, unless=operation)}: {_why(lost)}.",
        evidence=tuple(words.tensor(stats) for stats in (*lost.inputs, *lost.outputs)),
        confidence=_FIRST if divides and operation.phase == "forward" else _BESIDE_A_LOG,
        advice=f"Stay in logarithms until the end, where only differences are left: {remedy}. An epsilon in the "
        "denominator gives 0 for a ratio that is not 0.",
    )


def _logarithms_zero(operation: Operation) -> TensorStats | None:
    """The argument of a logarithm."""
    is_log = evidence.base(operation) in {"log", "log2", "log10"} and operation.inputs
    return operation.inputs[0] if is_log else None


def _underflowed(operation: Operation) -> bool:
    """Whether 0 came out of finite numbers that cannot make one."""
    made_zero = any(0.0 in {stats.min, stats.max} for stats in operation.outputs[:1])
    if not made_zero or not operation.inputs or not evidence.is_finite(operation):
        return False
    if evidence.base(operation) in _EXPONENTIALS:
        return True
    return evidence.base(operation) in _FACTORS and all(_excludes_zero(stats) for stats in operation.inputs)


def _excludes_zero(stats: TensorStats) -> bool:
    return stats.min is not None and stats.max is not None and (stats.min > 0.0 or stats.max < 0.0)


def _why(lost: Operation) -> str:
    """What went in, and that no 0 was among it."""
    ranges = " and ".join(extent(stats) for stats in lost.inputs)
    dtype = evidence.dtype_of(lost)
    if evidence.base(lost) in _EXPONENTIALS:
        return f"its inputs span {ranges}, and the smallest results are 0 in {dtype}"
    return f"no factor is 0 ({ranges}), but the result is too small for {dtype}"
