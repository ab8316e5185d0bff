"""Functions that are evaluated where nobody uses the result: their slope there is infinite, and 0 times that is nan."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from evenkeel.core.edit import Edit, Hole
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import TORCH, Stable, form
from evenkeel.experiment.forms.probabilities import has_logits
from evenkeel.experiment.history import History, Trail

# Where each function has a value and a slope. Of a quotient the divisor is meant, of a power the base.
_HARMLESS = {
    "acos": 0.0, "acosh": 2.0, "asin": 0.0, "atanh": 0.0, "cosh": 0.0, "digamma": 1.0, "div": 1.0, "exp": 0.0,
    "exp2": 0.0, "expm1": 0.0, "lgamma": 1.0, "log": 1.0, "log10": 1.0, "log1p": 0.0, "log2": 1.0, "pow": 1.0,
    "reciprocal": 1.0, "rsqrt": 1.0, "sinh": 0.0, "sqrt": 1.0, "tan": 0.0,
}  # fmt: skip
# Where the value is finite and the slope is not.
_EDGES = {"acos": (-1.0, 1.0), "acosh": (1.0,), "asin": (-1.0, 1.0), "pow": (0.0,), "sqrt": (0.0,)}


@dataclass(frozen=True, slots=True)
class Use:
    """A value of which only some elements are used."""

    position: int  # of the value among the operands of the call that chooses
    used: Tensor  # booleans
    condition: str  # how the user would write them: {} is the hole
    hole: Hole | None
    is_inverted: bool = False  # the condition says which are not used


def double_where(call: Call, history: History) -> Stable | None:
    """The same choice, of functions that see a harmless operand wherever their result is not chosen."""
    found: list[tuple[Use, tuple[Call, ...]]] = []
    for use in _uses(call):
        behind = history.origin_behind(call.args[use.position], _HARMLESS)
        if call.function == "mul" and any(has_logits(made, history) for made in behind):
            return None
        made = tuple(made for made in behind if bool((_singular(made) & ~use.used).any()))
        if made:
            found.append((use, made))
    if not found:
        return None
    written = [_written(m, use) for use, made in found for m in made]
    return Stable(
        compute=lambda: _chosen(call, found, history),
        of=(call, *(m for _, made in found for m in made)),
        edits=tuple(edit for edits in written for edit in edits) if all(written) else (),
    )


def selected_first(call: Call, history: History) -> Stable | None:
    """A function of the elements that are selected, not a selection from the function of all."""
    made = history.maker(call.tensor(0))
    x = None if made is None else made.tensor(0)
    if made is None or x is None or made.function not in _HARMLESS or len(made.args) > 1 or made.kwargs:
        return None
    if has_logits(made, history) or not bool(_singular(made).any()):
        return None

    def compute() -> Tensor:
        return made.again((call.again((x, *call.args[1:])),))

    text, holes = Trail(made, (call,)).text(1)
    template = f"torch.{made.function}({{0}}{text})"
    edits = edited(call, template, made.hole(0, "input"), *holes, imports=(TORCH,))
    return Stable(compute=compute, of=(call, made), edits=edits)


def _chosen(call: Call, found: Sequence[tuple[Use, tuple[Call, ...]]], history: History) -> Tensor:
    args = list(call.args)
    for use, made in found:
        args[use.position] = history.rebuilt(args[use.position], partial(_safely, made, use.used))
    return call.again(args)


def _safely(found: Collection[Call], used: Tensor, made: Call) -> Tensor | None:
    """The call with a harmless operand where it is not used; None for calls that were not found."""
    if made not in found:
        return None
    place = _place(made)
    operand = made.args[place]
    if not isinstance(operand, Tensor):
        return None
    safe = torch.where(used, operand, _HARMLESS[made.function])
    return made.again([safe if i == place else a for i, a in enumerate(made.args)])


def _singular(made: Call) -> Tensor:
    """Where a function has no finite value or slope."""
    value, operand = made.again(made.args), made.args[_place(made)]
    found = ~value.isfinite()
    for edge in _EDGES.get(made.function, ()):
        found = found | (operand == edge)
    return found


def _written(made: Call, use: Use) -> tuple[Edit, ...]:
    harmless = _HARMLESS[made.function]
    number = len(made.args)
    condition, operand = use.condition.format(f"{{{number}}}"), f"{{{_place(made)}}}"
    chosen = f"{harmless}, {operand}" if use.is_inverted else f"{operand}, {harmless}"
    safe = f"torch.where({condition}, {chosen})"
    holes = [made.hole(i) for i in range(number)]
    template = {"div": f"{{0}} / {safe}", "pow": f"{safe} ** {{1}}"}.get(
        made.function, f"torch.{made.function}({safe})"
    )
    return edited(made, template, *holes, use.hole, imports=(TORCH,))


def _place(made: Call) -> int:
    return 1 if made.function == "div" else 0


def _uses(call: Call) -> Iterator[Use]:
    """The operands of a call that are used in part, and in which."""
    if call.function == "where" and len(call.args) == 3:  # noqa: PLR2004
        is_function = isinstance(call.args[0], Tensor) and call.args[0].dtype == torch.bool
        condition, hole = call.args[0 if is_function else 1], call.hole(0 if is_function else 1, "condition")
        if isinstance(condition, Tensor):
            yield Use(1 if is_function else 0, condition, "{}", hole)
            yield Use(2, ~condition, "{}", hole, is_inverted=True)
    elif call.function == "masked_fill":
        mask = call.tensor(1, "mask")
        if mask is not None:
            yield Use(0, ~mask, "{}", call.hole(1, "mask"), is_inverted=True)
    elif call.function in {"getitem", "masked_select"}:
        mask, x = call.tensor(1, "mask"), call.tensor(0)
        if mask is not None and x is not None and mask.dtype == torch.bool:
            aligned = mask.view(*mask.shape, *[1] * (x.dim() - mask.dim()))
            yield Use(0, aligned, "{}", call.hole(1, "mask") if mask.dim() == x.dim() else None)
    elif call.function == "mul":
        for i in (0, 1):
            weight = call.tensor(i)
            if weight is not None and not weight.requires_grad:
                yield Use(1 - i, weight != 0, "{} != 0" if weight.dtype != torch.bool else "{}", call.hole(i))


_ORIGINS = " ".join(_HARMLESS)

FORMS = (
    form(
        "double where",
        "an element that is not chosen",
        "give the function a harmless operand where its result is not chosen: a second where, inside",
        "where masked_fill mul",
        double_where,
        origins=_ORIGINS,
    ),
    form(
        "selected first",
        "an element that is not selected",
        "select the elements before the function is taken, not after",
        "getitem gather masked_select index_select select narrow take_along_dim",
        selected_first,
        origins=_ORIGINS,
    ),
    form(
        "selection by where",
        "an element that is not selected",
        "give the function a harmless operand where its result is not selected: where, inside",
        "getitem masked_select",
        double_where,
        origins=_ORIGINS,
    ),
)
