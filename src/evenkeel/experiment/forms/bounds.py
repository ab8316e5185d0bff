"""A bound around a function, moved inside it: the same values, and no infinite slope where the bound holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import TORCH, Stable, form
from evenkeel.experiment.history import History


@dataclass(frozen=True, slots=True)
class Inverse:
    """Which bound protects a function, and the bound of the operand that gives it."""

    side: str  # "min" or "max" of the result
    inner: str  # "min" or "max" of the operand
    of: Callable[[float], float]


_INVERSES = {
    "log": Inverse("min", "min", math.exp),
    "log2": Inverse("min", "min", lambda c: 2.0**c),
    "log10": Inverse("min", "min", lambda c: 10.0**c),
    "log1p": Inverse("min", "min", math.expm1),
    "sqrt": Inverse("min", "min", lambda c: c * c),
    "rsqrt": Inverse("max", "min", lambda c: c**-2.0),
    "reciprocal": Inverse("max", "min", lambda c: 1 / c),
    "exp": Inverse("max", "max", math.log),
}


def bound_inside(call: Call, history: History) -> Stable | None:
    """A function of a bounded operand, under the bound of its result."""
    made = history.maker(call.tensor(0))
    inverse = None if made is None else _INVERSES.get(made.function)
    x = None if made is None else made.tensor(0)
    if made is None or inverse is None or x is None or bool(_result(call).isnan().any()):
        return None
    bound = _bound(call, inverse.side)
    if bound is None or (inverse.of is not math.exp and bound <= 0 and made.function not in {"log2", "log10", "log1p"}):
        return None
    limit = inverse.of(bound)

    def compute() -> Tensor:
        inner = torch.clamp(x, **{inverse.inner: limit})  # type: ignore[call-overload]
        return call.again((made.again((inner,)), *call.args[1:]))

    template = f"torch.{made.function}({{0}}.clamp({inverse.inner}={limit!r}))"
    edits = edited(made, template, made.hole(0, "input"), imports=(TORCH,))
    return Stable(compute=compute, of=(call, made), edits=edits)


def bounded_exponent(call: Call, history: History) -> Stable | None:
    """exp(s) beside a 0, with s bounded just below overflow: 0·inf is nan, and 0 times any number is 0."""
    for i in (0, 1):
        made, other = history.maker(call.args[i], "exp"), call.args[1 - i]
        s = None if made is None else made.tensor(0)
        if made is None or s is None or not isinstance(other, Tensor):
            continue
        limit = math.floor(10 * math.log(torch.finfo(s.dtype).max)) / 10
        if not bool(((s > limit) & (other == 0)).any()) or bool(((s > limit) & (other != 0)).any()):
            continue
        edits = edited(made, f"torch.exp({{0}}.clamp(max={limit}))", made.hole(0, "input"), imports=(TORCH,))
        return Stable(compute=partial(_bounded, other, s, limit), of=(call, made), edits=edits)
    return None


def _bounded(other: Tensor, s: Tensor, limit: float) -> Tensor:
    return other * torch.exp(s.clamp(max=limit))


def _result(call: Call) -> Tensor:
    value = call.args[0]
    return value if isinstance(value, Tensor) else torch.empty(0)


def _bound(call: Call, side: str) -> float | None:
    """The number that bounds the result on one side."""
    if call.function == "clamp":
        return call.number(1 if side == "min" else 2, side)
    bounding = {"min": {"clamp_min", "maximum", "max"}, "max": {"clamp_max", "minimum", "min"}}[side]
    is_other = call.function not in {"max", "min"} or isinstance(call.argument(1), Tensor)  # else it is a dimension
    return call.number(1, side) if call.function in bounding and is_other else None


FORMS = (
    form(
        "bound inside",
        "a function under a bound",
        "put the bound inside: clamp the operand, not the result",
        "clamp clamp_min clamp_max maximum minimum max min",
        bound_inside,
        origins=" ".join(_INVERSES),
    ),
    form(
        "bounded exponent",
        "0 times an exp that overflows",
        "bound the exponent before exp: a clamp, or c·tanh(s / c)",
        "mul",
        bounded_exponent,
        origins="exp",
    ),
)
