"""Logarithms of sums of exponentials, from their exponents: nothing overflows, and no sum is 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from evenkeel import ops
from evenkeel.core.edit import Hole
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form
from evenkeel.experiment.forms.logarithms import softplus_of
from evenkeel.experiment.forms.operands import beside_one, mask_behind
from evenkeel.experiment.history import History


@dataclass(frozen=True, slots=True)
class Raised:
    """exp(x), or that where a mask is open and 0 elsewhere."""

    call: Call  # of exp
    x: Tensor
    mask: Tensor | None = None
    template: str = "{0}"  # the arguments x and mask
    holes: tuple[Hole | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Total:
    """A sum of such exponentials over one dimension."""

    call: Call  # of sum or mean
    of: Raised
    dim: int
    keepdim: bool

    @property
    def holes(self) -> tuple[Hole | None, ...]:
        """The operands of the exponentials, and the dimension."""
        given = self.call.hole(1, "dim", repr(self.dim))
        return (*self.of.holes, given)

    @property
    def arguments(self) -> str:
        """What stands between the brackets of a log-sum-exp."""
        kept = ", keepdim=True" if self.keepdim else ""
        return f"{self.of.template}, dim={{{len(self.of.holes)}}}{kept}"

    def log(self) -> Tensor:
        """The logarithm of the sum, or of the mean."""
        value = ops.logsumexp(self.of.x, self.of.mask, self.dim, keepdim=self.keepdim)
        return value - math.log(self.of.x.shape[self.dim]) if self.call.function == "mean" else value


def raised(value: object, history: History) -> Raised | None:
    """The exponential behind a value, and the mask that it was multiplied by."""
    plain = history.maker(value, "exp")
    if plain is not None:
        x = plain.tensor(0)
        return None if x is None else Raised(plain, x, holes=(plain.hole(0, "input"),))
    product = history.maker(value, "mul")
    for i in (0, 1) if product is not None else ():
        exp = None if product is None else raised(product.tensor(i), history)
        mask = None if product is None else mask_behind(product.args[1 - i], history)
        if product is not None and exp is not None and mask is not None and exp.mask is None:
            text = "{0}, {1}" if product.args[1 - i] is mask else "{0}, {1} != 0"
            return Raised(exp.call, exp.x, mask, text, (*exp.holes, product.hole(1 - i)))
    return None


def total(value: object, history: History) -> Total | None:
    """The sum, or mean, of exponentials over one dimension behind a value."""
    call = history.maker(value, "sum", "mean")
    return None if call is None else total_of(call, history)


def total_of(call: Call, history: History) -> Total | None:
    """The same, given the call."""
    of, summed, dims = raised(call.args[0], history), call.tensor(0), call.dims()
    if of is None or summed is None or dims is None or len(dims) != 1 or summed.shape != of.x.shape:
        return None
    return Total(call, of, dims[0], bool(call.argument(2, "keepdim", default=False)))


def logsumexp(call: Call, history: History) -> Stable | None:
    """The log of a sum of exponentials."""
    found = total(history.unguarded(call.tensor(0)), history)
    if found is None:
        return None
    is_mean = found.call.function == "mean"
    edits = edited(call, f"ops.logsumexp({found.arguments})", *found.holes, imports=(OPS,))
    if found.of.mask is None:
        edits = edited(call, f"torch.logsumexp({found.arguments})", *found.holes, imports=(TORCH,))
    return Stable(compute=found.log, of=(call, found.call, found.of.call), edits=() if is_mean else edits)


def softplus_of_sum(call: Call, history: History) -> Stable | None:
    """log(1 + Σ exp(x)): the softplus of a log-sum-exp."""
    beside = beside_one(call.tensor(0), history)
    grown = call.tensor(0) if call.function == "log1p" else None if beside is None else beside[0].args[beside[1]]
    found = total(grown, history)
    if found is None or found.call.function == "mean":
        return None
    template, imports = softplus_of(found.of.x, f"ops.logsumexp({found.arguments})")
    return Stable(
        compute=lambda: ops.log1pexp(found.log()),
        of=(call, found.call, found.of.call),
        edits=edited(call, template, *found.holes, imports=(*imports, OPS)),
    )


def log_of_two(call: Call, history: History) -> Stable | None:
    """log(exp(a) ± exp(b)), from a and b."""
    pair = history.maker(history.unguarded(call.tensor(0)), "add", "sub")
    a, b = (None, None) if pair is None else (history.maker(part, "exp") for part in pair.args[:2])
    x, y = (None if made is None else made.tensor(0) for made in (a, b))
    if pair is None or pair.kwargs or a is None or b is None or x is None or y is None:
        return None
    form = ops.logaddexp if pair.function == "add" else ops.logsubexp
    template = f"ops.{form.__name__}({{0}}, {{1}})"
    return Stable(
        compute=lambda: form(x, y),
        of=(call, pair, a, b),
        edits=edited(call, template, a.hole(0, "input"), b.hole(0, "input"), imports=(OPS,)),
    )


FORMS = (
    form(
        "logsumexp",
        "log of a sum of exp",
        "take logsumexp(x) instead of the log of a sum of exp(x)",
        "log",
        logsumexp,
        origins="exp sum mean mul",
    ),
    form(
        "softplus of logsumexp",
        "log of 1 + a sum of exp",
        "take softplus(logsumexp(x)) instead of log(1 + Σ exp(x))",
        "log log1p",
        softplus_of_sum,
        origins="exp sum add mul",
    ),
    form(
        "logaddexp",
        "log of two exp",
        "take logaddexp or logsubexp of the exponents instead of the log of their sum or difference",
        "log",
        log_of_two,
        origins="exp add sub",
    ),
)
