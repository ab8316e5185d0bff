"""Roots at 0, where the slope is infinite: norms, standard deviations and exponentials that need no root."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form, joined
from evenkeel.experiment.forms.operands import is_number, squared
from evenkeel.experiment.history import History


def exp_of_half(call: Call, history: History) -> Stable | None:
    """The root of an exponential is the exponential of half the exponent."""
    trail = history.behind(_radicand(call), "exp")
    x = None if trail is None else trail.call.tensor(0)
    if trail is None or x is None:
        return None
    return joined(call, trail, lambda: torch.exp(0.5 * x), "torch.exp(0.5 * {0})", trail.call.hole(0, "input"))


def std(call: Call, history: History) -> Stable | None:
    """The root of a variance is the standard deviation, whose slope is 0 for constants."""
    made = history.maker(history.unguarded(_radicand(call)), "var")
    x = None if made is None else made.tensor(0)
    if made is None or x is None or any(isinstance(a, bool) for a in made.args[1:]):
        return None
    holes = (made.hole(0, "input"), *(made.hole(i) for i in range(1, len(made.args))))
    words = [f"{name}={value!r}" for name, value in made.kwargs.items() if value is not None]
    marks = ", ".join([f"{{{i}}}" for i in range(len(holes))] + words)
    return Stable(
        compute=lambda: torch.std(x, *made.args[1:], **made.kwargs),  # type: ignore[call-overload]
        of=(call, made),
        edits=edited(call, f"torch.std({marks})", *holes, imports=(TORCH,)),
    )


def two_pass_std(call: Call, history: History) -> Stable | None:
    """√(mean(x²) - mean(x)²) is a standard deviation; taken so, nothing cancels."""
    difference = history.maker(history.unguarded(_radicand(call)), "sub")
    if difference is None or difference.kwargs:
        return None
    first = history.maker(difference.args[0], "mean")
    second = history.maker(squared(difference.args[1], history), "mean")
    x = None if second is None else second.tensor(0)
    if first is None or second is None or x is None or first.dims() != second.dims() or first.dims() is None:
        return None
    if not history.same(squared(first.args[0], history), x):
        return None
    dims, keepdim = second.dims(), bool(second.argument(2, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    return Stable(
        compute=lambda: torch.std(x, dims, correction=0, keepdim=keepdim),
        of=(call, difference, first, second),
        edits=edited(
            call,
            f"torch.std({{0}}, dim={{1}}, correction=0{kept})",
            second.hole(0, "input"),
            second.hole(1, "dim", repr(dims)),
            imports=(TORCH,),
        ),
    )


def norm(call: Call, history: History) -> Stable | None:
    """The root of a sum of squares is a norm, whose slope is 0 at 0."""
    made = history.maker(history.unguarded(_radicand(call)), "sum")
    x = None if made is None else squared(made.args[0], history)
    dims = None if made is None else made.dims()
    square = None if made is None else history.maker(made.args[0])
    if made is None or square is None or not isinstance(x, Tensor) or dims is None:
        return None
    keepdim = bool(made.argument(2, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    return Stable(
        compute=lambda: ops.norm(x, dims, keepdim=keepdim),
        of=(call, made, square),
        edits=edited(
            call,
            f"ops.norm({{0}}, dim={{1}}{kept})",
            square.hole(0, "input"),
            made.hole(1, "dim", repr(dims)),
            imports=(OPS,),
        ),
    )


def hypotenuse(call: Call, _history: History) -> Stable | None:
    """The length of two sides, with slope 0 where both are 0."""
    a, b = call.tensor(0), call.tensor(1, "other")
    if a is None or b is None:
        return None
    return Stable(
        compute=lambda: ops.norm(torch.stack(torch.broadcast_tensors(a, b), -1)),  # type: ignore[no-untyped-call]
        of=(call,),
        edits=edited(
            call,
            "ops.norm(torch.stack(({0}, {1}), dim=-1))",
            call.hole(0, "input"),
            call.hole(1, "other"),
            imports=(TORCH, OPS),
        ),
    )


def any_scale_norm(call: Call, _history: History) -> Stable | None:
    """A Euclidean norm at any scale, that can be differentiated twice at 0."""
    x, order = call.tensor(0), call.argument(1, "p" if call.function == "norm" else "ord")
    given = call.argument(2, "dim")
    dims = call.dims(2)
    is_plain = call.function == "linalg_vector_norm" or given is None or isinstance(given, int)
    if x is None or dims is None or order not in {None, 2, "fro"} or not is_plain:
        return None
    keepdim = bool(call.argument(3, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    holes = (call.hole(0, "input"), call.hole(2, "dim", repr(dims)))
    return Stable(
        compute=lambda: ops.norm(x, dims, keepdim=keepdim),
        of=(call,),
        edits=edited(call, f"ops.norm({{0}}, dim={{1}}{kept})", *holes, imports=(OPS,)),
    )


def sqrt(call: Call, _history: History) -> Stable | None:
    """A root with slope 0 at 0."""
    x = _radicand(call)
    if x is None:
        return None
    edits = edited(call, "ops.sqrt({0})", call.hole(0, "input"), imports=(OPS,))
    return Stable(compute=lambda: ops.sqrt(x), of=(call,), edits=edits)


def rsqrt(call: Call, _history: History) -> Stable | None:
    """One over a root, and 0 where there is nothing to take it of."""
    is_power = call.function == "pow" and is_number(call.argument(1, "exponent"), -0.5)
    x = call.tensor(0) if is_power or call.function == "rsqrt" else None
    if x is None:
        return None
    edits = edited(call, "ops.rsqrt({0})", call.hole(0, "input"), imports=(OPS,))
    return Stable(compute=lambda: ops.rsqrt(x), of=(call,), edits=edits)


def power(call: Call, _history: History) -> Stable | None:
    """A fractional power below 1 with slope 0 at 0."""
    x, exponent = call.tensor(0), call.number(1, "exponent")
    if x is None or exponent is None or not 0 < exponent < 1:
        return None
    template = "torch.where({0} == 0, 0.0, torch.where({0} == 0, 1.0, {0}) ** {1})"

    def compute() -> Tensor:
        nothing = x == 0
        return torch.where(nothing, 0.0, torch.where(nothing, 1.0, x) ** exponent)

    holes = (call.hole(0, "input"), call.hole(1, "exponent"))
    return Stable(compute=compute, of=(call,), edits=edited(call, template, *holes, imports=(TORCH,)))


def _radicand(call: Call) -> Tensor | None:
    """What a root is taken of; None for another power."""
    if call.function == "pow" and not is_number(call.argument(1, "exponent"), 0.5):
        return None
    return call.tensor(0)


_SQRT = "sqrt pow"

FORMS = (
    form(
        "exp of half", "sqrt of exp", "take exp(x / 2) instead of the root of exp(x)", _SQRT, exp_of_half, origins="exp"
    ),
    form(
        "std",
        "sqrt of a variance",
        "take std, whose slope is 0 for constants, instead of the root of the variance; or put an eps inside the root",
        _SQRT,
        std,
        origins="var",
    ),
    form(
        "two-pass std",
        "sqrt of mean of squares less square of mean",
        "take std(correction=0) instead of the root of mean(x²) - mean(x)²; or put an eps inside the root",
        _SQRT,
        two_pass_std,
        origins="sub",
    ),
    form(
        "norm",
        "sqrt of a sum of squares",
        "take the norm, whose slope is 0 at 0, instead of the root of a sum of squares",
        _SQRT,
        norm,
        origins="sum square mul",
    ),
    form("ops.norm", "hypot", "take ops.norm, whose slope is 0 at 0, instead of hypot", "hypot", hypotenuse),
    form(
        "norm at any scale",
        "a Euclidean norm",
        "take ops.norm, which neither overflows nor loses its second derivative at 0",
        "norm linalg_vector_norm linalg_norm",
        any_scale_norm,
    ),
    form(
        "ops.sqrt",
        "sqrt",
        "put an eps inside the root, or take ops.sqrt, whose slope is 0 at 0",
        _SQRT,
        sqrt,
    ),
    form(
        "ops.rsqrt",
        "rsqrt",
        "bound the operand from below, or take ops.rsqrt, which is 0 at 0",
        "rsqrt pow",
        rsqrt,
    ),
    form(
        "power",
        "a power below 1",
        "put an eps inside the power, or let its slope be 0 at 0 with a double where",
        "pow",
        power,
    ),
)
