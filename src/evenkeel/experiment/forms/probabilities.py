"""Logarithms of probabilities, from the logits that the probabilities were made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from evenkeel import ops
from evenkeel.core.edit import Hole
from evenkeel.experiment.calls import Call
from evenkeel.experiment.forms.form import MATH, OPS, TORCH, Stable, form, joined
from evenkeel.experiment.forms.operands import beside_one, is_number, negated, taken_from_one
from evenkeel.experiment.history import History, Trail

_BASES = {"log2": 2, "log10": 10}
LOGS = "log log2 log10"
WITH_LOG1P = f"{LOGS} log1p"


def log_softmax(call: Call, history: History) -> Stable | None:
    """The log of a softmax, from its logits: no class is so unlikely that its log is -inf."""
    trail = history.behind(call.tensor(0), "softmax")
    x = None if trail is None else trail.call.tensor(0)
    dim = None if trail is None else trail.call.argument(1, "dim")
    if trail is None or x is None or not isinstance(dim, int):
        return None
    dtype = trail.call.argument(2, "dtype")
    wanted = dtype if isinstance(dtype, torch.dtype) else None
    more = "" if wanted is None else f", dtype={wanted}"
    holes = (trail.call.hole(0, "input"), trail.call.hole(1, "dim", repr(dim)))
    template = f"torch.log_softmax({{0}}, dim={{1}}{more})"
    return logarithm(call, trail, lambda: torch.log_softmax(x, dim, dtype=wanted), template, *holes)


def logsigmoid(call: Call, history: History) -> Stable | None:
    """The log of a sigmoid, or of 1 less a sigmoid, from its logit."""
    plain = None if call.function == "log1p" else history.behind(call.tensor(0), "sigmoid")
    trail = plain or history.behind(complement(call, history), "sigmoid")
    x = None if trail is None else trail.call.tensor(0)
    if trail is None or x is None:
        return None
    hole = trail.call.hole(0, "input")
    if plain is not None:
        return logarithm(call, trail, lambda: functional.logsigmoid(x), "torch.nn.functional.logsigmoid({0})", hole)
    return logarithm(call, trail, lambda: functional.logsigmoid(-x), "torch.nn.functional.logsigmoid(-{0})", hole)


def logsigmoid_by_hand(call: Call, history: History) -> Stable | None:
    """The log of 1 / (1 + exp(v)), or of 1 less that."""
    plain = None if call.function == "log1p" else _sigmoid_by_hand(call.tensor(0), history)
    exp = plain or _sigmoid_by_hand(complement(call, history), history)
    v = None if exp is None else exp.tensor(0)
    if exp is None or v is None:
        return None
    hole = exp.hole(0, "input")
    sign, logit = ("-", -v) if plain is not None else ("", v)
    template = f"torch.nn.functional.logsigmoid({sign}{{0}})"
    return logarithm(call, Trail(exp), lambda: functional.logsigmoid(logit), template, hole)


def log1m_softmax(call: Call, history: History) -> Stable | None:
    """The log of 1 less a softmax, from its logits."""
    trail = history.behind(complement(call, history), "softmax")
    x = None if trail is None else trail.call.tensor(0)
    dim = None if trail is None else trail.call.argument(1, "dim")
    if trail is None or x is None or not isinstance(dim, int):
        return None
    holes = (trail.call.hole(0, "input"), trail.call.hole(1, "dim", repr(dim)))
    template = "ops.log1mexp(ops.log_softmax({0}, dim={1}))"
    return logarithm(call, trail, lambda: ops.log1mexp(ops.log_softmax(x, dim=dim)), template, *holes, imports=(OPS,))


def has_logits(call: Call, history: History) -> bool:
    """Whether a logarithm is that of a probability made of logits: then no other form is as good as one from these."""
    return call.function in WITH_LOG1P.split() and any(
        rewrite(call, history) is not None for rewrite in (log_softmax, logsigmoid, logsigmoid_by_hand, log1m_softmax)
    )


def complement(call: Call, history: History) -> object:
    """The p of log(1 - p) or log1p(-p)."""
    x = history.unguarded(call.tensor(0))
    return negated(x, history) if call.function == "log1p" else taken_from_one(x, history)


def logarithm(
    call: Call,
    trail: Trail,
    compute: Callable[[], Tensor],
    template: str,
    *holes: Hole | None,
    imports: tuple[str, ...] = (TORCH,),
) -> Stable:
    """A logarithm in the base of the call."""
    stable = joined(call, trail, compute, template, *holes, imports=imports)
    base = _BASES.get(call.function)
    if base is None:
        return stable
    text = f" / math.log({base})"
    edits = [replace(e, template=e.template + text, imports=(*e.imports, MATH)) for e in stable.edits]
    return Stable(compute=lambda: trail.taken(compute()) / math.log(base), of=stable.of, edits=tuple(edits))


def _sigmoid_by_hand(value: object, history: History) -> Call | None:
    """The exp(v) of 1 / (1 + exp(v))."""
    quotient = history.maker(value, "div", "reciprocal")
    if quotient is None or (quotient.function == "div" and not is_number(quotient.args[0], 1.0)):
        return None
    found = beside_one(quotient.args[-1], history)
    return None if found is None else history.maker(found[0].args[found[1]], "exp")


FORMS = (
    form(
        "log_softmax",
        "log of softmax",
        "take log_softmax of the logits, or cross-entropy on the logits, instead of the log of a softmax",
        LOGS,
        log_softmax,
    ),
    form(
        "logsigmoid",
        "log of sigmoid",
        "take logsigmoid of the logits, or binary cross-entropy on the logits, instead of the log of a sigmoid",
        WITH_LOG1P,
        logsigmoid,
    ),
    form(
        "logsigmoid of the exponent",
        "log of 1 / (1 + exp)",
        "take logsigmoid of the logits, or binary cross-entropy on the logits",
        WITH_LOG1P,
        logsigmoid_by_hand,
        origins="exp add reciprocal div",
    ),
    form(
        "log1m_softmax",
        "log of 1 - softmax",
        "take ops.log1mexp of log_softmax of the logits instead of the log of 1 - softmax",
        WITH_LOG1P,
        log1m_softmax,
    ),
)
