"""The operands of a call or of an operation in the user's text."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from evenkeel.core.edit import Hole
from evenkeel.patch.refusal import Refused
from evenkeel.patch.source import Expression, Source, one_line

# torch takes these names too
_OTHER_NAMES = {"dim": ("axis",), "keepdim": ("keepdims",), "input": ("x", "a", "x1"), "other": ("x2",)}


@dataclass(frozen=True, slots=True)
class Operand:
    """The text of an operand; without a node where it is a default that the user left unsaid."""

    text: str
    node: ast.expr | None = None


def operand_of(source: Source, call: Expression, hole: Hole) -> Operand:
    """What the user wrote for an operand.

    Raises:
        Refused: the text does not show it.
    """
    node = _call_operand(source, call, hole) if isinstance(call, ast.Call) else _side(call, hole.position)
    if node is None:
        if not hole.default:
            raise Refused(f"{_quoted(source, call)} does not show its {_named(hole)}")
        return Operand(hole.default)
    return Operand(source.words(node), node)


def _side(operation: ast.BinOp | ast.UnaryOp | ast.Subscript, position: int) -> ast.expr | None:
    match operation:
        case ast.BinOp(left=first, right=second) | ast.Subscript(value=first, slice=second):
            return (first, second)[position] if position < 2 else None  # noqa: PLR2004  it has two sides
        case _:
            return operation.operand if position == 0 else None


def _call_operand(source: Source, call: ast.Call, hole: Hole) -> ast.expr | None:
    handed = [*_receiver(source, call, hole), *call.args]
    if any(isinstance(node, ast.Starred) for node in handed[: hole.position + 1]):
        raise Refused(f"{_quoted(source, call)} hands over its operands with *")
    if hole.position < len(handed):
        return handed[hole.position]
    names = (hole.keyword, *_OTHER_NAMES.get(hole.keyword, ()))
    by_name = next((k.value for k in call.keywords if k.arg is not None and k.arg in names), None)
    if by_name is None and any(k.arg is None for k in call.keywords):
        raise Refused(f"{_quoted(source, call)} hands over its operands with **")
    return by_name


def _receiver(source: Source, call: ast.Call, hole: Hole) -> list[ast.expr]:
    if not hole.is_method:
        return []
    if not isinstance(call.func, ast.Attribute):
        raise Refused(f"{_quoted(source, call)} is no method of a tensor, as it was when the program was loaded")
    return [call.func.value]


def _named(hole: Hole) -> str:
    return f"operand {hole.keyword}" if hole.keyword else f"operand {hole.position}"


def _quoted(source: Source, call: Expression) -> str:
    return f"{one_line(source.words(call))} (line {call.lineno})"
