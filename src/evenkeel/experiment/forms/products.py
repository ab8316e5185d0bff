"""Products of a weight and a logarithm, where the weight is 0: what has no weight has no say."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form
from evenkeel.experiment.forms.probabilities import has_logits
from evenkeel.experiment.history import History


def xlogy(call: Call, history: History) -> Stable | None:
    """w·log(y), and 0 where w is 0; not for what has logits, which have a better form."""
    for i in (0, 1):
        made, weight = history.maker(call.args[i], "log"), call.tensor(1 - i)
        y = None if made is None else made.tensor(0)
        if made is None or y is None or weight is None or has_logits(made, history):
            continue
        hole = made.hole(0, "input")
        if weight is y:
            edits = edited(call, "ops.xlogx({0})", hole, imports=(OPS,))
            return Stable(compute=partial(ops.xlogx, y), of=(call, made), edits=edits)
        edits = edited(call, "ops.xlogy({0}, {1})", call.hole(1 - i), hole, imports=(OPS,))
        return Stable(compute=partial(ops.xlogy, weight, y), of=(call, made), edits=edits)
    return None


def filled_log(call: Call, history: History) -> Stable | None:
    """p·log p from log p: where that is -inf and p is 0, the log is filled with 0 before the product."""
    for i in (0, 1):
        log_p, p = call.tensor(i), call.tensor(1 - i)
        if log_p is None or p is None or history.behind(log_p, "log_softmax", "logsigmoid") is None:
            continue
        closed = log_p == -math.inf
        if not bool(closed.any()) or bool((closed & (p != 0)).any()):
            continue
        filled = "{1}.masked_fill({1} == -torch.inf, 0.0)" if i else "{0}.masked_fill({0} == -torch.inf, 0.0)"
        text = f"{{0}} * {filled}" if i else f"{filled} * {{1}}"
        return Stable(
            compute=partial(_filled, p, log_p, closed),
            of=(call,),
            edits=edited(call, text, call.hole(0), call.hole(1), imports=(TORCH,)),
        )
    return None


def _filled(p: Tensor, log_p: Tensor, closed: Tensor) -> Tensor:
    return p * log_p.masked_fill(closed, 0.0)


FORMS = (
    form(
        "filled log",
        "0 times the log of 0",
        "fill the log with 0 where it is masked, before the product",
        "mul",
        filled_log,
    ),
    form(
        "ops.xlogy",
        "a weight times a log",
        "take ops.xlogy, which is 0 where the weight is 0",
        "mul",
        xlogy,
        origins="log",
    ),
)
