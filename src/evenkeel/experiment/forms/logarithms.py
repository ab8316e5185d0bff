"""Logarithms of sums, products and other functions that have a better form as one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call
from evenkeel.experiment.forms.form import MATH, OPS, TORCH, Stable, form, of_two
from evenkeel.experiment.forms.operands import beside_one, is_number, squared
from evenkeel.experiment.forms.probabilities import LOGS, WITH_LOG1P, complement, logarithm
from evenkeel.experiment.history import History, Trail


def log1mexp(call: Call, history: History) -> Stable | None:
    """log(1 - exp(x)), from x."""
    trail = history.behind(complement(call, history), "exp")
    x = None if trail is None else trail.call.tensor(0)
    if trail is None or x is None:
        return None
    hole = trail.call.hole(0, "input")
    return logarithm(call, trail, lambda: ops.log1mexp(x), "ops.log1mexp({0})", hole, imports=(OPS,))


def softplus(call: Call, history: History) -> Stable | None:
    """log(1 + exp(x)): nothing overflows."""
    found = beside_one(call.tensor(0), history)
    grown = call.tensor(0) if call.function == "log1p" else None if found is None else found[0].args[found[1]]
    trail = history.behind(grown, "exp")
    x = None if trail is None else trail.call.tensor(0)
    if trail is None or x is None:
        return None
    template, imports = softplus_of(x, "{0}")
    return logarithm(call, trail, lambda: ops.log1pexp(x), template, trail.call.hole(0, "input"), imports=imports)


def inverse_softplus(call: Call, history: History) -> Stable | None:
    """log(exp(x) - 1): nothing overflows."""
    minus_one = history.maker(call.tensor(0), "sub", "expm1")
    if minus_one is not None and minus_one.function == "sub" and not is_number(minus_one.args[1], 1.0):
        return None
    exp = None if minus_one is None else minus_one
    if minus_one is not None and minus_one.function == "sub":
        exp = history.maker(minus_one.args[0], "exp")
    x = None if exp is None else exp.tensor(0)
    if minus_one is None or exp is None or x is None:
        return None
    trail, hole = Trail(exp), exp.hole(0, "input")
    return logarithm(call, trail, lambda: x + ops.log1mexp(-x), "{0} + ops.log1mexp(-{0})", hole, imports=(OPS,))


def log_tanh_derivative(call: Call, history: History) -> Stable | None:
    """log(1 - tanh²u), which squashing by tanh adds to a log-density, from u."""
    trail = history.behind(squared(complement(call, history), history), "tanh")
    u = None if trail is None else trail.call.tensor(0)
    if trail is None or u is None:
        return None
    hole = trail.call.hole(0, "input")
    template = "ops.log_tanh_derivative({0})"
    return logarithm(call, trail, lambda: ops.log_tanh_derivative(u), template, hole, imports=(OPS,))


def sum_of_logs(call: Call, history: History) -> Stable | None:
    """The log of a product of positive numbers is the sum of their logs."""
    trail = history.behind(call.tensor(0), "prod")
    x = None if trail is None else trail.call.tensor(0)
    dims = None if trail is None else trail.call.dims()
    if trail is None or x is None or dims is None or not bool((x > 0).all()):
        return None
    keepdim = bool(trail.call.argument(2, "keepdim", default=False))
    text = "{1}, keepdim=True" if keepdim else "{1}"
    holes = [trail.call.hole(0, "input"), trail.call.hole(1, "dim", repr(dims[0]))]
    if len(dims) == x.dim() > 1:
        text = ""
        holes.pop()
    return logarithm(
        call, trail, lambda: torch.log(x).sum(dims, keepdim=keepdim), f"torch.log({{0}}).sum({text})", *holes
    )


def _log_cosh(x: Tensor) -> Tensor:
    return torch.logaddexp(x, -x) - math.log(2)


def softplus_of(x: Tensor, text: str) -> tuple[str, tuple[str, ...]]:
    """How log(1 + exp(x)) is written: torch's own is exact to rounding in float32, and not in float64."""
    if x.dtype == torch.float64:
        return f"ops.log1pexp({text})", (OPS,)
    return f"torch.nn.functional.softplus({text})", (TORCH,)


FORMS = (
    form(
        "softplus",
        "log of 1 + exp",
        "take softplus(x) instead of log(1 + exp(x))",
        WITH_LOG1P,
        softplus,
        origins="exp add",
    ),
    form(
        "log1mexp",
        "log of 1 - exp",
        "take ops.log1mexp(x) instead of log(1 - exp(x))",
        WITH_LOG1P,
        log1mexp,
        origins="exp sub",
    ),
    form(
        "inverse softplus",
        "log of exp - 1",
        "take x + ops.log1mexp(-x) instead of log(exp(x) - 1)",
        LOGS,
        inverse_softplus,
        origins="exp expm1 sub",
    ),
    form(
        "log_tanh_derivative",
        "log of 1 - tanh²",
        "take ops.log_tanh_derivative(u) instead of log(1 - tanh(u)²)",
        WITH_LOG1P,
        log_tanh_derivative,
    ),
    form(
        "sum of logs",
        "log of a product",
        "sum the logs instead of taking the log of the product",
        LOGS,
        sum_of_logs,
        origins="prod",
    ),
    form(
        "x itself",
        "log of exp",
        "take the exponent itself instead of log(exp(x))",
        "log",
        of_two("log", "exp", lambda x: x, "{0}"),
        origins="exp",
    ),
    form(
        "log_cosh",
        "log of cosh",
        "take logaddexp(x, -x) - log(2) instead of log(cosh(x))",
        "log",
        of_two("log", "cosh", _log_cosh, "torch.logaddexp({0}, -{0}) - math.log(2)", TORCH, MATH),
        origins="cosh",
    ),
    form(
        "logdet",
        "log of det",
        "take torch.logdet instead of the log of det",
        "log",
        of_two("log", "det", torch.logdet, "torch.logdet({0})", TORCH),
        origins="det linalg_det",
    ),
)
