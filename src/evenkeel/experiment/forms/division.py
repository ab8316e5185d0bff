"""Quotients 0/0: of counts, norms, ranges and overlaps of nothing, each with what it means then."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, TORCH, Stable, form
from evenkeel.experiment.forms.operands import as_tensor, is_number, mask_behind
from evenkeel.experiment.history import History

_TAKING = ("getitem", "squeeze", "unsqueeze", "to", "float", "flatten", "view", "reshape")
_SUMS = ("add", "sub", "sum", "square", "pow", *_TAKING)
_PRODUCTS = ("mul", "add", "neg", *_TAKING)
_SIZES = (
    "sum", "mean", "norm", "linalg_vector_norm", "linalg_norm", "std", "var", "sqrt", "amax", "amin", "max", "min",
    "prod", "scatter_add", "index_add", "bincount", "count_nonzero", "cumsum", "nansum", "logical_and",
)  # fmt: skip
_COMBINING = ("add", "sub", "mul", "clamp", "clamp_min", "maximum", "abs", "to", "float", "where")
_TOTALS = ("sum", "scatter_add", "index_add", "bincount", "scatter_reduce")


def by_count(call: Call, history: History) -> Stable | None:
    """A sum over a count, 0 where nothing was counted: the count is at least 1."""
    a, b = call.args[0], call.tensor(1, "other")
    if b is None or not is_count(b, history) or not _is_nothing_in_nothing(call):
        return None
    return Stable(
        compute=lambda: as_tensor(a, b) / b.clamp(min=1),
        of=(call,),
        edits=edited(call, "{0} / {1}.clamp(min=1)", call.hole(0), call.hole(1)),
    )


def overlap(call: Call, history: History) -> Stable | None:
    """What two sets share over what they have together: two empty sets agree, so 1."""
    b = call.tensor(1, "other")
    if b is None or not _is_nothing_in_nothing(call) or not _is_share_of(call.args[0], b, history):
        return None
    return _divided(call, b, 1.0)


def divide(call: Call, history: History) -> Stable | None:
    """The quotient of a part and a size (a sum, a norm, a range, a count in the data), and 0 where both are 0.

    Not for other quotients: sin(x)/x has a limit at 0, and it is not 0.
    """
    b = call.tensor(1, "other")
    if b is None or not _is_nothing_in_nothing(call) or not _is_size(b, history):
        return None
    if is_count(b, history) or _is_share_of(call.args[0], b, history):  # better known, see above
        return None
    root = history.maker(b, "sqrt")
    inside = None if root is None else root.tensor(0)
    if root is None or inside is None:
        safe = history.rebuilt(b, _root_with_slope)
        stable = _divided(call, b, 0.0)
        return stable if not isinstance(safe, Tensor) or safe is b else _divided(call, safe, 0.0, has_text=False)
    text = "ops.divide({0}, ops.sqrt({1}))"
    return Stable(
        compute=lambda: ops.divide(as_tensor(call.args[0], b), ops.sqrt(inside)),
        of=(call, root),
        edits=edited(call, text, call.hole(0), root.hole(0, "input"), imports=(OPS,)),
    )


def by_number(call: Call, _history: History) -> Stable | None:
    """Zeros divided by a number that is 0 are zeros."""
    a, b = call.tensor(0), call.argument(1, "other")
    if a is None or not is_number(b, 0.0) or isinstance(b, Tensor) or bool((a != 0).any()):
        return None
    return Stable(
        compute=lambda: a * 0.0,
        of=(call,),
        edits=edited(call, "{0} / {1} if {1} else {0} * 0", call.hole(0), call.hole(1), imports=(TORCH,)),
    )


def share_of_total(call: Call, history: History) -> Stable | None:
    """One over a sum of what is not negative, and 0 where there is nothing to sum."""
    given = call.tensor(0) if call.function in {"reciprocal", "pow"} else call.tensor(1, "other")
    b = history.unguarded(given)
    numerator = 1.0 if call.function in {"reciprocal", "pow"} else call.number(0)
    if call.function == "pow" and not is_number(call.argument(1, "exponent"), -1.0):
        return None
    if b is None or numerator is None or history.behind(b, *_TOTALS) is None or not bool((b >= 0).all()):
        return None
    guard = None if b is given else history.maker(given)
    hole = guard.hole(0) if guard is not None else call.hole(1 if call.function == "div" else 0)
    text = f"torch.where({{0}} == 0, 0.0, {numerator:g} / torch.where({{0}} == 0, 1.0, {{0}}))"
    return Stable(
        compute=lambda: ops.divide(as_tensor(numerator, b), b),
        of=(call,),
        edits=edited(call, text, hole, imports=(TORCH,)),
    )


def is_count(value: Tensor, history: History) -> bool:
    """Whether a tensor says how many: a sum of integers, or of a mask that was made floating."""
    trail = history.behind(value, "sum", "count_nonzero", "numel", "bincount")
    if trail is None:
        return False
    if trail.call.function != "sum":
        return True
    summed = trail.call.args[0]
    is_whole = isinstance(summed, Tensor) and not summed.is_floating_point() and not summed.is_complex()
    return is_whole or mask_behind(summed, history) is not None


def _root_with_slope(call: Call) -> Tensor | None:
    """A root with slope 0 at 0, in the place of one whose slope there is infinite."""
    x = call.tensor(0) if call.function == "sqrt" else None
    return None if x is None else ops.sqrt(x)


def _divided(call: Call, b: Tensor, at_zero: float, *, has_text: bool = True) -> Stable:
    meaning = f", at_zero={at_zero}" if at_zero else ""
    holes = (call.hole(0), call.hole(1) if has_text else None)
    return Stable(
        compute=lambda: ops.divide(as_tensor(call.args[0], b), b, at_zero),
        of=(call,),
        edits=edited(call, f"ops.divide({{0}}, {{1}}{meaning})", *holes, imports=(OPS,)),
    )


def _is_nothing_in_nothing(call: Call) -> bool:
    """Whether somewhere 0 is divided by 0, and nowhere something else by 0: a pole is no matter of convention."""
    b = call.tensor(1, "other")
    if b is None or call.kwargs.get("rounding_mode") is not None:
        return False
    empty = b == 0
    return bool(empty.any()) and not bool((empty & (as_tensor(call.args[0], b) != 0)).any())


def _is_size(value: object, history: History, depth: int = 6) -> bool:
    """Whether a tensor says how much there is: a sum, a norm, a range, a product of these, or a number in the data."""
    if not isinstance(value, Tensor) or history.behind(value, *_SIZES) is not None:
        return isinstance(value, Tensor)
    call = history.maker(value) if depth else None
    if call is None:
        return not value.requires_grad
    parts = [part for part in call.args if isinstance(part, Tensor)]
    return call.function in _COMBINING and all(_is_size(part, history, depth - 1) for part in parts)


def _is_share_of(a: object, b: Tensor, history: History) -> bool:
    """Whether what two sets share is divided by what they have: Σ p·t by sums of p and t, or a part of a + b - part."""
    whole = list(_parts(b, history, _SUMS))
    if any((call := history.maker(part, "sub")) is not None and call.args[1] is a for part in whole):
        return True
    known = set(map(id, whole))
    for part in _parts(a, history, _PRODUCTS):
        total = history.maker(part, "sum")
        product = None if total is None else history.maker(total.args[0], "mul")
        if product is not None and product.args[0] is not product.args[1] and known.issuperset(map(id, product.args)):
            return True
    return False


def _parts(value: object, history: History, functions: tuple[str, ...], depth: int = 8) -> Iterator[object]:
    """A tensor and those that it was made of by some functions."""
    yield value
    call = history.maker(value, *functions) if depth else None
    for part in () if call is None else call.args:
        yield from _parts(part, history, functions, depth - 1)


FORMS = (
    form(
        "count at least 1", "a sum over a count of 0", "divide by a count of at least 1: clamp(min=1)", "div", by_count
    ),
    form(
        "overlap of nothing",
        "an overlap of empty sets",
        "two empty sets agree: divide by where(union > 0, union, 1) and take 1 there",
        "div",
        overlap,
    ),
    form(
        "ops.divide",
        "nothing divided by nothing",
        "nothing in nothing is 0: divide by where(size > 0, size, 1)",
        "div",
        divide,
    ),
    form(
        "zeros over 0",
        "zeros divided by the number 0",
        "say what 0 means: all zeros, without the division",
        "div",
        by_number,
    ),
    form(
        "share of a total",
        "one over a total of 0",
        "one over an empty total is 0: take the reciprocal of where(x == 0, 1, x), and 0 there",
        "div reciprocal pow",
        share_of_total,
    ),
)
