"""Parts of formulas: what stands beside a 1, under a square, behind a mask."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.experiment.calls import Call
from evenkeel.experiment.history import History

_COMPARISONS = (
    "gt", "ge", "lt", "le", "eq", "ne", "isfinite", "isnan", "isinf", "logical_not", "logical_and", "logical_or",
    "invert", "bernoulli", "one_hot", "and", "or",
)  # fmt: skip
_CONVERSIONS = ("float", "double", "half", "bfloat16", "to", "type", "type_as", "long", "int")


def beside_one(value: object, history: History) -> tuple[Call, int] | None:
    """A sum of 1 and something: the call, and the place of that among its operands."""
    call = history.maker(value, "add")
    if call is None or call.kwargs.get("alpha", 1) != 1:
        return None
    return next(((call, 1 - i) for i in (0, 1) if is_number(call.args[i], 1.0)), None)


def taken_from_one(value: object, history: History) -> object:
    """The p of 1 - p or -p + 1; None for other values."""
    call = history.maker(value, "sub")
    if call is not None and call.kwargs.get("alpha", 1) == 1:
        return call.args[1] if is_number(call.args[0], 1.0) else None
    found = beside_one(value, history)
    return None if found is None else negated(found[0].args[found[1]], history)


def negated(value: object, history: History) -> object:
    """The p of -p; None for other values."""
    call = history.maker(value, "neg", "mul")
    if call is None:
        return None
    if call.function == "neg":
        return call.args[0]
    return next((call.args[1 - i] for i in (0, 1) if is_number(call.args[i], -1.0)), None)


def squared(value: object, history: History) -> object:
    """The x of x², x**2 or x·x; None for other values."""
    call = history.maker(value, "square", "pow", "mul")
    if call is None or (call.function == "pow" and not is_number(call.args[1], 2.0)):
        return None
    return None if call.function == "mul" and not history.same(call.args[0], call.args[1]) else call.args[0]


def mask_behind(value: object, history: History) -> Tensor | None:
    """A mask as booleans: the tensor itself, or what it was converted from; None for other values."""
    for _ in range(4):
        if not isinstance(value, Tensor):
            return None
        if value.dtype == torch.bool:
            return value
        call = history.maker(value, *_CONVERSIONS, *_COMPARISONS)
        if call is None:
            return None
        if call.function not in _CONVERSIONS:
            return value != 0
        value = call.args[0]
    return None


def is_number(value: object, wanted: float) -> bool:
    """Whether a value is that number, be it as a tensor without dimensions."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.requires_grad and bool(value == wanted)
    return isinstance(value, int | float) and value == wanted


def as_tensor(value: object, like: Tensor) -> Tensor:
    """An operand as a tensor."""
    return value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=like.dtype, device=like.device)
