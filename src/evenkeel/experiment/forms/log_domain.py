"""Products, quotients and sums of exponentials, computed in logarithms from their exponents."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from evenkeel import ops
from evenkeel.core.edit import Hole
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms import exponentials, logarithms, probabilities, shares
from evenkeel.experiment.forms.exponentials import total_of
from evenkeel.experiment.forms.form import MATH, OPS, TORCH, Stable, form
from evenkeel.experiment.forms.operands import mask_behind
from evenkeel.experiment.history import TAKING, History, Trail

_FACTORS = {"square": 2.0, "sqrt": 0.5, "reciprocal": -1.0, "rsqrt": -0.5}
_DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Logs:
    """The logarithm of a positive tensor, and how it is written; `text` has its own holes, numbered from 0."""

    value: Tensor
    text: str
    holes: tuple[Hole | None, ...]
    of: tuple[Call, ...] = ()

    def mapped(self, value: Tensor, text: str, call: Call) -> Logs:
        """A function of it."""
        return replace(self, value=value, text=text, of=(call, *self.of))

    def with_other(self, other: Logs, value: Tensor, text: str, call: Call) -> Logs:
        """A function of two; "a" and "b" in brackets stand for their texts."""
        shifted = other.text
        for i in reversed(range(len(other.holes))):
            shifted = shifted.replace(f"{{{i}}}", f"{{{i + len(self.holes)}}}")
        written = text.replace("[a]", self.text).replace("[b]", shifted)
        return Logs(value, written, (*self.holes, *other.holes), (call, *self.of, *other.of))


def log_of_formula(call: Call, history: History) -> Stable | None:
    """The log of a formula of exponentials, by the rules for logarithms."""
    found = _logs_of(call, 0, history, _DEEPEST)
    if found is None or _is_known(call, history):
        return None
    return Stable(
        compute=lambda: found.value,
        of=(call, *found.of),
        edits=edited(call, found.text, *found.holes, imports=(TORCH, OPS, MATH)),
    )


def ratio(call: Call, history: History) -> Stable | None:
    """A quotient of two formulas of exponentials: the exponential of the difference of their logarithms."""
    above, below = _logs_of(call, 0, history, _DEEPEST), _logs_of(call, 1, history, _DEEPEST)
    if above is None or below is None or not (above.of and below.of) or call.kwargs.get("rounding_mode") is not None:
        return None
    if _is_known(call, history):
        return None
    both = above.with_other(below, torch.exp(above.value - below.value), "torch.exp([a] - ([b]))", call)
    return Stable(
        compute=lambda: both.value,
        of=both.of,
        edits=edited(call, both.text, *both.holes, imports=(TORCH, OPS, MATH)),
    )


def _is_known(call: Call, history: History) -> bool:
    """Whether there is a form of its own."""
    known = (*probabilities.FORMS, *logarithms.FORMS, *exponentials.FORMS, *shares.FORMS)
    return any(other.applies_to(call) and other.rewrite(call, history) is not None for other in known)


def _logs_of(user: Call, position: int, history: History, depth: int) -> Logs | None:
    """The logarithm of an operand of a call; None where that is not made of exponentials and positive numbers."""
    value = user.args[position]
    made = history.maker(value) if depth else None
    if made is not None:
        known = _of_call(made, value, history, depth)
        if known is not None:
            return known
    if not isinstance(value, Tensor) or not value.is_floating_point() or not bool((value > 0).all()):
        return None
    return Logs(torch.log(value), "torch.log({0})", (user.hole(position),))


def _of_call(made: Call, value: object, history: History, depth: int) -> Logs | None:
    x = made.tensor(0)
    if made.function in {"exp", "softmax", "sigmoid"} and x is not None:
        return _of_exponential(made, x)
    if made.function in {"add", "div", "mul"} and len(made.args) == 2 and not made.kwargs:  # noqa: PLR2004
        return _of_two(made, history, depth - 1)
    if made.function == "sum" and x is not None:
        return _of_sum(made, history, depth - 1)
    inner = _logs_of(made, 0, history, depth - 1) if made.function in {*_FACTORS, *TAKING} and x is not None else None
    if inner is None or not inner.of or not isinstance(value, Tensor):
        return None
    return _of_one(made, inner)


def _of_one(made: Call, inner: Logs) -> Logs:
    if made.function in _FACTORS:
        factor = _FACTORS[made.function]
        return inner.mapped(factor * inner.value, f"{factor} * ({inner.text})", made)
    text, holes = Trail(made, (made,)).text(len(inner.holes))
    taken = Trail(made, (made,)).taken(inner.value)
    return replace(inner, value=taken, text=f"({inner.text}){text}", holes=(*inner.holes, *holes), of=(made, *inner.of))


def _of_exponential(made: Call, x: Tensor) -> Logs | None:
    hole, dim = made.hole(0, "input"), made.argument(1, "dim")
    if made.function == "exp":
        return Logs(x, "{0}", (hole,), (made,))
    if made.function == "sigmoid":
        return Logs(functional.logsigmoid(x), "torch.nn.functional.logsigmoid({0})", (hole,), (made,))
    if not isinstance(dim, int) or made.argument(2, "dtype") is not None:
        return None
    holes = (hole, made.hole(1, "dim", repr(dim)))
    return Logs(torch.log_softmax(x, dim), "torch.log_softmax({0}, dim={1})", holes, (made,))


def _of_two(made: Call, history: History, depth: int) -> Logs | None:
    for i in (0, 1) if made.function == "mul" else ():
        mask = mask_behind(made.args[i], history)
        other = None if mask is None else _logs_of(made, 1 - i, history, depth)
        if mask is not None and other is not None and other.of:
            closed = f"([a]).masked_fill({'~[b]' if made.args[i] is mask else '[b] == 0'}, -torch.inf)"
            flag = Logs(other.value, "{0}", (made.hole(i),))
            return other.with_other(flag, other.value.masked_fill(~mask, -math.inf), closed, made)
    for i in (0, 1):
        number = made.args[i]
        if isinstance(number, int | float):
            logs = _logs_of(made, 1 - i, history, depth)
            return None if logs is None else _beside_number(made, float(number), i, logs)
    a, b = _logs_of(made, 0, history, depth), _logs_of(made, 1, history, depth)
    if a is None or b is None or not (a.of or b.of):
        return None
    if made.function == "mul":
        return a.with_other(b, a.value + b.value, "([a]) + ([b])", made)
    if made.function == "div":
        return a.with_other(b, a.value - b.value, "([a]) - ([b])", made)
    return a.with_other(b, ops.logaddexp(a.value, b.value), "ops.logaddexp([a], [b])", made)


def _of_sum(made: Call, history: History, depth: int) -> Logs | None:
    masked, dims = total_of(made, history), made.dims()
    inner = _logs_of(made, 0, history, depth)
    if dims is None or len(dims) != 1:
        return None
    if masked is not None:
        return Logs(masked.log(), f"ops.logsumexp({masked.arguments})", masked.holes, (made, masked.of.call))
    if inner is None or not inner.of:
        return None
    keepdim = bool(made.argument(2, "keepdim", default=False))
    kept = ", keepdim=True" if keepdim else ""
    value = ops.logsumexp(inner.value, dim=dims[0], keepdim=keepdim)
    number = len(inner.holes)
    text = f"ops.logsumexp({inner.text}, dim={{{number}}}{kept})"
    holes = (*inner.holes, made.hole(1, "dim", repr(dims[0])))
    return Logs(value, text, holes, (made, *inner.of))


def _beside_number(made: Call, number: float, position: int, logs: Logs) -> Logs | None:
    """The logarithm of a sum, product or quotient of a number and something; `position` is that of the number."""
    if number <= 0 or not logs.of:
        return None
    c = math.log(number)
    text = f"math.log({number!r})"
    if made.function == "add":
        value = c + ops.log1pexp(logs.value - c)
        return logs.mapped(value, f"{text} + ops.log1pexp({logs.text} - {text})", made)
    if made.function == "div" and position == 0:
        return logs.mapped(c - logs.value, f"{text} - ({logs.text})", made)
    sign = "-" if made.function == "div" else "+"
    return logs.mapped(logs.value - c if sign == "-" else logs.value + c, f"({logs.text}) {sign} {text}", made)


FORMS = (
    form(
        "logarithms of the parts",
        "log of products, quotients and sums of exp",
        "compute it in logarithms: logsumexp for a sum, differences for quotients; or cross-entropy on the logits",
        "log",
        log_of_formula,
        origins="exp sum div mul add softmax sigmoid",
    ),
    form(
        "exp of a difference",
        "a quotient of sums and products of exp",
        "compute it in logarithms and take exp of the difference; the softmax does that",
        "div",
        ratio,
        origins="exp sum mul add",
    ),
)
