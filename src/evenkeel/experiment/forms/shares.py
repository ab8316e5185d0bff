"""Shares of exponentials: softmax, sigmoid and tanh written by hand."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.exponentials import Raised, Total, raised, total_of
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form
from evenkeel.experiment.forms.operands import as_tensor, beside_one, is_number
from evenkeel.experiment.history import History


def softmax(call: Call, history: History) -> Stable | None:
    """exp(x) / Σ exp(x): the softmax, which subtracts the maximum first."""
    share = raised(call.argument(0), history)
    trail = history.behind(call.tensor(1, "other"), "sum")
    whole = None if trail is None else total_of(trail.call, history)
    if share is None or trail is None or whole is None or not _fits(call, share, whole):
        return None
    if not history.same(share.x, whole.of.x) or not history.same(share.mask, whole.of.mask):
        return None
    x, mask, dim = share.x, share.mask, whole.dim
    number = len(share.holes)
    return Stable(
        compute=lambda: ops.softmax(x, mask, dim),
        of=(call, share.call, whole.call, whole.of.call),
        edits=edited(
            call,
            f"ops.softmax({share.template}, dim={{{number}}})" if mask is not None else "torch.softmax({0}, dim={1})",
            *share.holes,
            whole.call.hole(1, "dim", repr(dim)),
            imports=(TORCH,) if mask is None else (OPS,),
        ),
    )


def two_way_softmax(call: Call, history: History) -> Stable | None:
    """exp(a) / (exp(a) + exp(b)): the sigmoid of a - b; with a difference above, tanh of half of it."""
    whole = history.maker(call.tensor(1, "other"), "add")
    parts = () if whole is None or whole.kwargs else tuple(history.maker(part, "exp") for part in whole.args[:2])
    above = history.maker(call.argument(0), "exp", "sub")
    if whole is None or above is None or len(parts) < 2 or None in parts:  # noqa: PLR2004
        return None
    a, b = (part.tensor(0) for part in parts if part is not None)
    if a is None or b is None:
        return None
    first, second = (part for part in parts if part is not None)
    if above.function == "sub":
        return _tanh(call, above, (first, second), (a, b), history)
    if not history.same(above.args[0], a):
        (a, b), (first, second) = (b, a), (second, first)
    if not history.same(above.args[0], a):
        return None
    return Stable(
        compute=lambda: torch.sigmoid(a - b),
        of=(call, whole, first, second, above),
        edits=edited(
            call, "torch.sigmoid({0} - {1})", first.hole(0, "input"), second.hole(0, "input"), imports=(TORCH,)
        ),
    )


def sigmoid(call: Call, history: History) -> Stable | None:
    """1 / (1 + exp(-x)) and exp(x) / (1 + exp(x)): the sigmoid."""
    below = call.tensor(0) if call.function == "reciprocal" else call.tensor(1, "other")
    beside = beside_one(below, history)
    exp = None if beside is None else history.maker(beside[0].args[beside[1]], "exp")
    x = None if exp is None else exp.tensor(0)
    if beside is None or exp is None or x is None:
        return None
    above = history.maker(call.argument(0), "exp")
    if above is not None and call.function == "div" and history.same(above.args[0], x):
        edits = edited(call, "torch.sigmoid({0})", exp.hole(0, "input"), imports=(TORCH,))
        return Stable(compute=lambda: torch.sigmoid(x), of=(call, beside[0], exp, above), edits=edits)
    share = call.args[0] if call.function == "div" else 1.0
    minus = history.maker(x, "neg")
    logit, sign = (exp.hole(0, "input"), "-") if minus is None else (minus.hole(0, "input"), "")
    if is_number(share, 1.0):
        edits = edited(call, f"torch.sigmoid({sign}{{0}})", logit, imports=(TORCH,))
        return Stable(compute=lambda: torch.sigmoid(-x), of=(call, beside[0], exp), edits=edits)
    edits = edited(call, f"{{0}} * torch.sigmoid({sign}{{1}})", call.hole(0), logit, imports=(TORCH,))
    return Stable(compute=lambda: as_tensor(share, x) * torch.sigmoid(-x), of=(call, beside[0], exp), edits=edits)


def grouped_softmax(call: Call, history: History) -> Stable | None:
    """exp(x) over the sum of its group: the softmax of each group, which subtracts the group's maximum."""
    share = raised(call.argument(0), history)
    taken = history.maker(history.unguarded(call.tensor(1, "other")), "getitem", "gather", "index_select")
    added = None if taken is None else history.maker(taken.args[0], "scatter_add", "index_add")
    if share is None or share.mask is not None or taken is None or added is None or len(added.args) < 4:  # noqa: PLR2004
        return None
    base, dim, group = added.tensor(0), added.args[1], added.tensor(2)
    summed = history.maker(added.args[3], "exp")
    is_all = base is not None and not bool((base != 0).any()) and base.dim() == share.x.dim()
    if summed is None or group is None or base is None or not is_all or not isinstance(dim, int):
        return None
    if not history.same(share.x, summed.args[0]) or taken.args[-1] is not group or group.dim() != 1 or dim % base.dim():
        return None
    num_groups = base.shape[dim]
    holes = (share.call.hole(0, "input"), added.hole(2, "index"))
    return Stable(
        compute=lambda: ops.grouped_softmax(share.x, group, num_groups),
        of=(call, share.call, taken, added, summed),
        edits=edited(call, f"ops.grouped_softmax({{0}}, {{1}}, {num_groups})", *holes, imports=(OPS,)),
    )


def _tanh(
    call: Call, above: Call, parts: tuple[Call, Call], operands: tuple[Tensor, Tensor], history: History
) -> Stable | None:
    upper = tuple(history.maker(part, "exp") for part in above.args[:2])
    if above.kwargs or any(
        one is None or not history.same(one.args[0], x) for one, x in zip(upper, operands, strict=True)
    ):
        return None
    a, b = operands
    holes = (part.hole(0, "input") for part in parts)
    edits = edited(call, "torch.tanh(({0} - {1}) / 2)", *holes, imports=(TORCH,))
    return Stable(compute=lambda: torch.tanh((a - b) / 2), of=(call, above, *parts), edits=edits)


def _fits(call: Call, share: Raised, whole: Total) -> bool:
    """Whether the sum meets the elements that it is a sum of."""
    below = call.tensor(1, "other")
    if below is None or share.x.shape != whole.of.x.shape:
        return False
    kept = tuple(1 if d == whole.dim else n for d, n in enumerate(share.x.shape))
    return tuple(below.shape) == kept or (share.x.dim() == 1 and below.dim() == 0)


FORMS = (
    form(
        "softmax",
        "exp over its sum",
        "take the softmax, which subtracts the maximum, instead of exp over its sum",
        "div",
        softmax,
        origins="exp sum mul",
    ),
    form(
        "sigmoid of a difference",
        "exp over a sum of two exp",
        "take the softmax; of two, the sigmoid (or tanh) of the difference",
        "div",
        two_way_softmax,
        origins="exp add sub",
    ),
    form(
        "sigmoid",
        "exp over 1 + exp",
        "take torch.sigmoid instead of writing it with exp",
        "div reciprocal",
        sigmoid,
        origins="exp add",
    ),
    form(
        "ops.grouped_softmax",
        "exp over the sum of its group",
        "subtract the group's maximum before exp (ops.grouped_softmax)",
        "div",
        grouped_softmax,
        origins="exp scatter_add index_add",
    ),
)
