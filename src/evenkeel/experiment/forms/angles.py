"""Inverse trigonometric and hyperbolic functions at the edge of their domain, and quotients of a sine at 0."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import MATH, OPS, TORCH, Stable, form, of_two
from evenkeel.experiment.forms.operands import beside_one, squared, taken_from_one
from evenkeel.experiment.history import History

_UNIT_ULPS = 16


def sphere_distance(call: Call, history: History) -> Stable | None:
    """The arc cosine of the scalar product of unit vectors, from their difference."""
    total = history.behind(call.tensor(0), "sum")
    product = None if total is None or total.steps else history.maker(total.call.args[0], "mul")
    if total is None or product is None:
        return None
    x, y, dims = product.tensor(0), product.tensor(1, "other"), total.call.dims()
    if x is None or y is None or dims is None or not (_are_unit(x, dims) and _are_unit(y, dims)):
        return None
    if bool(total.call.argument(2, "keepdim", default=False)) or x.shape != y.shape:
        return None
    holes = (product.hole(0, "input"), product.hole(1, "other"), total.call.hole(1, "dim", repr(dims)))
    return Stable(
        compute=lambda: ops.sphere_distance(x, y, dims),
        of=(call, total.call, product),
        edits=edited(call, "ops.sphere_distance({0}, {1}, dim={2})", *holes, imports=(OPS,)),
    )


def angle(call: Call, history: History) -> Stable | None:
    """The arc cosine of a cosine similarity, from the directions themselves."""
    made = history.behind(call.tensor(0), "cosine_similarity")
    x, y = (None, None) if made is None else (made.call.tensor(0, "x1"), made.call.tensor(1, "x2"))
    dim = None if made is None else made.call.argument(2, "dim", default=1)
    if made is None or made.steps or x is None or y is None or not isinstance(dim, int):
        return None
    holes = (made.call.hole(0, "x1"), made.call.hole(1, "x2"), made.call.hole(2, "dim", repr(dim)))
    return Stable(
        compute=lambda: ops.angle(x, y, dim),
        of=(call, made.call),
        edits=edited(call, "ops.angle({0}, {1}, dim={2})", *holes, imports=(OPS,)),
    )


def acos(call: Call, _history: History) -> Stable | None:
    """The arc cosine with slope 0 at -1 and 1."""
    x = call.tensor(0)
    if x is None:
        return None
    edits = edited(call, "ops.acos({0})", call.hole(0, "input"), imports=(OPS,))
    return Stable(compute=lambda: ops.acos(x), of=(call,), edits=edits)


def asin(call: Call, _history: History) -> Stable | None:
    """The arc sine with slope 0 at -1 and 1."""
    x = call.tensor(0)
    if x is None:
        return None
    template = "torch.atan2({0}, ops.sqrt((1 - {0}) * (1 + {0})))"
    edits = edited(call, template, call.hole(0, "input"), imports=(TORCH, OPS))
    return Stable(compute=lambda: torch.atan2(x, ops.sqrt((1 - x) * (1 + x))), of=(call,), edits=edits)


def acosh1p(call: Call, history: History) -> Stable | None:
    """acosh(1 + u), from u."""
    found = beside_one(call.tensor(0), history)
    u = None if found is None else found[0].tensor(found[1])
    if found is None or u is None:
        return None
    edits = edited(call, "ops.acosh1p({0})", found[0].hole(found[1]), imports=(OPS,))
    return Stable(compute=lambda: ops.acosh1p(u), of=(call, found[0]), edits=edits)


def acosh(call: Call, history: History) -> Stable | None:
    """The inverse hyperbolic cosine with slope 0 at 1."""
    x = call.tensor(0)
    if x is None or acosh1p(call, history) is not None:
        return None
    edits = edited(call, "ops.acosh({0})", call.hole(0, "input"), imports=(OPS,))
    return Stable(compute=lambda: ops.acosh(x), of=(call,), edits=edits)


def atan2(call: Call, history: History) -> Stable | None:
    """atan(a/b) for b >= 0, with 0 and slope 0 where both are 0."""
    quotient = history.maker(call.tensor(0), "div")
    a, b = (None, None) if quotient is None else (quotient.tensor(0), quotient.tensor(1, "other"))
    if quotient is None or a is None or b is None or bool(((b < 0) | ((b == 0) & (a < 0))).any()):
        return None
    edits = edited(call, "torch.atan2({0}, {1})", quotient.hole(0), quotient.hole(1), imports=(TORCH,))
    return Stable(compute=lambda: torch.atan2(a, b), of=(call, quotient), edits=edits)


def over_sine(call: Call, history: History) -> Stable | None:
    """φ / sin φ, or a multiple of it, with its limit at 0."""
    above, below = _scaled(call.args[0], history), _scaled(call.argument(1, "other"), history)
    sine = history.maker(below[1], "sin")
    phi = None if sine is None else sine.tensor(0)
    if sine is None or phi is None or above[1] is not phi:
        return None
    scale = 2 * above[0] / below[0]
    text = "ops.rotation_log_factor({0})" if scale == 1 else f"{scale:g} * ops.rotation_log_factor({{0}})"
    return Stable(
        compute=lambda: scale * ops.rotation_log_factor(phi),
        of=(call, sine),
        edits=edited(call, text, sine.hole(0, "input"), imports=(OPS,)),
    )


def sinc(call: Call, history: History) -> Stable | None:
    """Sin φ / φ with its limit at 0."""
    sine = history.maker(call.args[0], "sin")
    phi = None if sine is None else sine.tensor(0)
    if sine is None or phi is None or call.argument(1, "other") is not phi:
        return None
    template = "torch.sinc({0} / math.pi)"
    edits = edited(call, template, sine.hole(0, "input"), imports=(TORCH, MATH))
    return Stable(compute=lambda: torch.sinc(phi / math.pi), of=(call, sine), edits=edits)


def versine(call: Call, history: History) -> Stable | None:
    """(1 - cos φ) / φ² with its limit at 0, and without cancellation beside it."""
    cosine = history.maker(taken_from_one(call.args[0], history), "cos")
    phi = None if cosine is None else cosine.tensor(0)
    if cosine is None or phi is None or squared(call.argument(1, "other"), history) is not phi:
        return None
    template = "0.5 * torch.sinc({0} / (2 * math.pi)) ** 2"
    edits = edited(call, template, cosine.hole(0, "input"), imports=(TORCH, MATH))
    return Stable(compute=lambda: 0.5 * torch.sinc(phi / (2 * math.pi)) ** 2, of=(call, cosine), edits=edits)


def _scaled(value: object, history: History) -> tuple[float, object]:
    """A number and what it is multiplied with."""
    call = history.maker(value, "mul")
    for i in (0, 1) if call is not None else ():
        number = None if call is None else call.number(i)
        if call is not None and number is not None and not isinstance(call.args[i], Tensor):
            return number, call.args[1 - i]
    return 1.0, value


def _are_unit(x: Tensor, dims: tuple[int, ...]) -> bool:
    length = torch.linalg.vector_norm(x, dim=dims)
    return bool(((length - 1).abs() <= _UNIT_ULPS * torch.finfo(x.dtype).eps).all())


FORMS = (
    form(
        "ops.sphere_distance",
        "acos of a scalar product of unit vectors",
        "take the angle by atan2 of the difference and the sum (ops.sphere_distance) instead of acos",
        "acos",
        sphere_distance,
    ),
    form(
        "ops.angle",
        "acos of a cosine similarity",
        "take the angle by atan2 of the difference and the sum (ops.angle) instead of acos",
        "acos",
        angle,
    ),
    form(
        "ops.acos",
        "acos",
        "take the angle by atan2 (ops.angle), or ops.acos, whose slope is 0 at -1 and 1",
        "acos",
        acos,
    ),
    form(
        "atan2 for asin",
        "asin",
        "take atan2(x, sqrt(1 - x²)) with a slope of 0 at the ends instead of asin",
        "asin",
        asin,
    ),
    form(
        "ops.acosh1p",
        "acosh of 1 + u",
        "take ops.acosh1p(u), which is 2·asinh(sqrt(u / 2)), instead of acosh(1 + u)",
        "acosh",
        acosh1p,
    ),
    form(
        "ops.acosh",
        "acosh",
        "take ops.acosh, whose slope is 0 at 1, or build it from the excess over 1 (ops.acosh1p)",
        "acosh",
        acosh,
    ),
    form(
        "u itself",
        "atanh of tanh",
        "keep the number of which tanh was taken instead of atanh(tanh(u))",
        "atanh",
        of_two("atanh", "tanh", lambda u: u, "{0}"),
        origins="tanh",
    ),
    form("atan2", "atan of a quotient", "take atan2(a, b) instead of atan(a / b)", "atan", atan2, origins="div"),
    form(
        "ops.rotation_log_factor",
        "φ over sin φ",
        "take the series near 0 (ops.rotation_log_factor) instead of the quotient",
        "div",
        over_sine,
        origins="sin",
    ),
    form("sinc", "sin φ over φ", "take torch.sinc, which is 1 at 0, instead of sin(x) / x", "div", sinc, origins="sin"),
    form(
        "squared sinc",
        "1 - cos φ over φ²",
        "take sinc(x / 2)² / 2 instead of (1 - cos(x)) / x²",
        "div",
        versine,
        origins="cos sub",
    ),
)
