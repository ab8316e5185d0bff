"""An inverse function was taken exactly at the bound where it is infinite.

What you see:
    An infinite or NaN loss out of logit, atanh, erfinv, ndtri or a distribution's icdf.
Why:
    logit(0), logit(1), atanh(±1), erfinv(±1) and ndtri(0) are infinite. A label, a pixel or a frequency of exactly
    0 or 1 gets there; so does torch.rand, which on a CPU returns 0 once in 2**24 draws of float32 and once in
    about 500 of bfloat16. An eps that the dtype rounds away bounds nothing.
Bad:
    z = torch.logit(pixels)                                        # pixels of exactly 0 and 1
Good:
    z = torch.logit(pixels.float(), eps=1e-6)                      # or (255 * p + 0.5) / 256 before it
Not this:
    An argument beyond the bound is outside_domain; a bound that tanh or sigmoid rounded to is
    saturated_inverse; a finite value with an infinite slope is inverse_function_edge; a logarithm of 0 is
    log_of_nonpositive.
Source:
    torch.logit and torch.erfinv (the domains); Megatron-Energon PR#260 (torch.rand returns 0).
"""

from __future__ import annotations

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.core.words import number
from evenkeel.diagnose import evidence, lineage, makers, words

CODE = "EK208"
FAMILY: Family = "domain"

_BOUNDS = {
    "logit": (0.0, 1.0),
    "special_ndtri": (0.0, 1.0),
    "atanh": (-1.0, 1.0),
    "erfinv": (-1.0, 1.0),
    "special_erfinv": (-1.0, 1.0),
}
_DRAWS = frozenset({"rand", "rand_like", "uniform"})
_SCALINGS = makers.COPIES | {"mul", "sub", "rsub", "add"}


def judge(case: Case) -> Cause | None:
    """An infinite value at exactly a bound, in forward, whether the loss or only the gradient shows it."""
    origin = evidence.born(case)
    if origin is None or evidence.base(origin.operation) not in _BOUNDS or not _in_forward(origin):
        return None
    operation = origin.operation
    low, high = _BOUNDS[evidence.base(operation)]
    stats = operation.inputs[0] if operation.inputs else None
    if stats is None or stats.min is None or stats.max is None or stats.min < low or stats.max > high:
        return None
    reached = [bound for bound in (low, high) if bound in {stats.min, stats.max}]
    return _cause(case, origin, reached) if reached else None


def _cause(case: Case, origin: Origin, reached: list[float]) -> Cause:
    """The explanation, once it is known which bounds were reached."""
    operation, name = origin.operation, evidence.base(origin.operation)
    bounds = " and ".join(number(bound) for bound in reached)
    seen = ": the loss does not show it, the gradient does" if evidence.in_backward(origin) else ""
    return Cause(
        name="infinite_at_bound",
        code=CODE,
        family=FAMILY,
        text=f"{name} received exactly {bounds}{words.at(origin)}{words.cite(operation)}, where it is "
        f"infinite{_source(case, operation)}{seen}.",
        evidence=tuple(words.tensor(stats) for stats in operation.inputs),
        confidence=0.9,
        advice=(
            "Bound the argument strictly inside by more than the dtype's eps, in float32: torch.logit(p, eps=1e-6), "
            "u.clamp(eps, 1 - eps) for a draw or a label. If it is a function's own result, keep what went into that "
            "function instead."
        ),
    )


def _in_forward(origin: Origin) -> bool:
    """Whether forward made the infinity, be it that only the gradient shows it."""
    infinite = any(stats.num_posinf or stats.num_neginf for stats in origin.operation.outputs)
    return infinite and evidence.is_finite(origin.operation)


def _source(case: Case, operation: Operation) -> str:
    """What made the argument, when that is a draw of random numbers."""
    draw = makers.nearest(case, lineage.maker(case, operation, 0), makers.named(_DRAWS), makers.named(_SCALINGS))
    return f"; {evidence.base(draw)}{words.cite(draw, unless=operation)} can return it" if draw is not None else ""
