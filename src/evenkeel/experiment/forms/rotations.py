"""The quaternion of a rotation matrix, by the largest of its four components; and its angle."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.experiment.calls import Call, edited
from evenkeel.experiment.forms.form import OPS, Stable, form
from evenkeel.experiment.history import History

_COMPONENTS = 4
_OFF_DIAGONAL = {1: (2, 1), 2: (0, 2), 3: (1, 0)}  # the entry less its mirror image, for x, y and z


def quaternion(call: Call, history: History) -> Stable | None:
    """(w, x, y, z), or (x, y, z, w), of which w is half the root of 1 + trace: no root of a rounded 0 (Shepperd).

    Its sign is that of the original: w is not negative. No text is offered, since the page of
    `ops.quaternion_of_rotation` has another rule for the sign.
    """
    parts = call.args[0]
    if not isinstance(parts, list | tuple) or len(parts) != _COMPONENTS or not isinstance(parts[0], Tensor):
        return None
    if call.argument(1, "dim", 0) not in {-1, parts[0].dim()}:
        return None
    for first in (0, 3):  # where w stands
        root = history.behind(_halved(parts[first], history), "sqrt")
        found = None if root is None else _traced(root.call.args[0], history, 1.0)
        order = [*parts[first:], *parts[:first]] if first else list(parts)
        if root is None or found is None or not _is_right_handed(order, found[0], history):
            continue
        return Stable(compute=partial(_as_written, found[0], first), of=(call, root.call))
    return None


def angle(call: Call, history: History) -> Stable | None:
    """acos((trace - 1) / 2), from the axis part too: no slope of -inf at the identity, no cosine beyond 1."""
    x = call.tensor(0)
    bounded = history.maker(x, "clamp", "clip")
    cosine = x if bounded is None else bounded.tensor(0)
    found = _traced(_halved(cosine, history), history, -1.0)
    if found is None:
        return None
    matrix, first = found
    return Stable(
        compute=lambda: ops.rotation_angle(matrix),
        of=(call,),
        edits=edited(call, "ops.rotation_angle({0})", first.hole(0, "input"), imports=(OPS,)),
    )


def _as_written(matrix: Tensor, first: int) -> Tensor:
    q = ops.quaternion_of_rotation(matrix)
    q = torch.where(q[..., :1] < 0, -q, q)
    return q if first == 0 else q.roll(-1, -1)


def _halved(value: object, history: History) -> object:
    """What is divided by 2, or multiplied by a half."""
    call = history.maker(value, "div", "mul")
    if call is None:
        return None
    factor = {"div": 2.0, "mul": 0.5}[call.function]
    return next((call.args[i] for i in (0, 1) if call.number(1 - i) == factor), None)


def _traced(value: object, history: History, constant: float) -> tuple[Tensor, Call] | None:
    """The matrix of which the trace and a constant are taken, and a call that takes an entry of it."""
    numbers, parts = 0.0, []
    for part, sign in _summands(value, history):
        if isinstance(part, int | float):
            numbers += sign * part
        else:
            parts.append((part, sign))
    if numbers != constant or any(sign < 0 for _, sign in parts):
        return None
    whole = history.maker(parts[0][0], "sum") if len(parts) == 1 else None
    diagonal = None if whole is None else history.maker(whole.args[0], "diagonal")
    matrix = None if diagonal is None else diagonal.tensor(0)
    if diagonal is not None and matrix is not None:
        return (matrix, diagonal) if matrix.shape[-2:] == (3, 3) else None
    entries = [_entry(part, history) for part, _ in parts]
    places = {entry[1:] for entry in entries if entry is not None}
    matrices = {id(entry[0]): entry[0] for entry in entries if entry is not None}
    is_trace = len(entries) == 3 and places == {(0, 0), (1, 1), (2, 2)} and len(matrices) == 1  # noqa: PLR2004
    first = history.maker(parts[0][0], "getitem") if parts else None
    return (next(iter(matrices.values())), first) if is_trace and first is not None else None


def _summands(value: object, history: History, sign: int = 1, depth: int = 6) -> list[tuple[object, int]]:
    call = history.maker(value, "add", "sub") if depth else None
    if call is None or call.kwargs:
        return [(value, sign)]
    other = sign if call.function == "add" else -sign
    return [*_summands(call.args[0], history, sign, depth - 1), *_summands(call.args[1], history, other, depth - 1)]


def _entry(value: object, history: History) -> tuple[Tensor, int, int] | None:
    """The matrix, row and column of r[..., i, j]."""
    call = history.maker(value, "getitem")
    matrix = None if call is None else call.tensor(0)
    index = () if call is None or not isinstance(call.args[1], tuple) else call.args[1]
    if matrix is None or len(index) < 2 or not all(isinstance(i, int) for i in index[-2:]):  # noqa: PLR2004
        return None
    return (matrix, *index[-2:]) if matrix.shape[-2:] == (3, 3) else None


def _is_right_handed(order: list[object], matrix: Tensor, history: History) -> bool:
    """Whether x, y and z are differences of entries in the usual order, and not those of the inverse rotation."""
    for component, (i, j) in _OFF_DIAGONAL.items():
        quotient = history.maker(order[component], "div", "mul")
        above = None if quotient is None else history.maker(quotient.args[0], "sub")
        entries = [] if above is None else [_entry(part, history) for part in above.args[:2]]
        if [e and (id(e[0]), *e[1:]) for e in entries] != [(id(matrix), i, j), (id(matrix), j, i)]:
            return False
    return True


FORMS = (
    form(
        "ops.quaternion_of_rotation",
        "a quaternion from 1 + trace",
        "branch by the largest of trace and diagonal (ops.quaternion_of_rotation)",
        "stack",
        quaternion,
        origins="sqrt",
    ),
    form(
        "ops.rotation_angle",
        "acos of (trace - 1) / 2",
        "take atan2 of the axis part and the trace (ops.rotation_angle) instead of acos",
        "acos",
        angle,
    ),
)
