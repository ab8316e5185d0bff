"""The statement of the user's program that stands on a line, and what it adds up."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeGuard

from evenkeel.core.place import Place


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement and the text of its file."""

    node: ast.stmt
    text: str


def statement_at(place: Place) -> Statement | None:
    """The innermost statement that covers the line; None where the file cannot be read as Python."""
    module = _parsed(place.file)
    if module is None:
        return None
    tree, text = module
    covering = [n for n in ast.walk(tree) if isinstance(n, ast.stmt) and _covers(n, place.line)]
    return Statement(max(covering, key=lambda n: n.lineno), text) if covering else None


def operand_texts(statement: Statement) -> Iterator[tuple[str, ...]]:
    """The texts between the plus signs of each sum in the statement, and the elements of each list; no numbers."""
    if isinstance(statement.node, ast.AugAssign) and isinstance(statement.node.op, ast.Add | ast.Sub):
        yield _texts([statement.node.target, *_flat(statement.node.value)], statement.text)
    inside: set[ast.AST] = set()
    for node in ast.walk(statement.node):
        if _is_sum(node) and node not in inside:
            inside.update(_sums_in(node))
            yield _texts(list(_flat(node)), statement.text)
        elif isinstance(node, ast.List | ast.Tuple):
            yield _texts(list(node.elts), statement.text)


def assigned_name(statement: Statement, place: Place) -> str:
    """The variable that the statement assigns to, or the function whose result it returns; "" for anything else."""
    node = statement.node
    if isinstance(node, ast.Return):
        return "" if place.scope.startswith("<") else f"{place.scope}()"
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return _text(targets[0], statement.text) if len(targets) == 1 and not isinstance(targets[0], ast.Tuple) else ""


@lru_cache(maxsize=32)
def _parsed(file: str) -> tuple[ast.Module, str] | None:
    text = "".join(linecache.getlines(file))
    try:
        return (ast.parse(text), text) if text else None
    except SyntaxError:  # a cell with magics, a template
        return None


def _covers(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _is_sum(node: ast.AST) -> TypeGuard[ast.BinOp]:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)


def _sums_in(node: ast.AST) -> Iterator[ast.AST]:
    """The sums of which this sum directly consists."""
    if _is_sum(node):
        yield node
        yield from _sums_in(node.left)
        yield from _sums_in(node.right)


def _flat(node: ast.expr) -> Iterator[ast.expr]:
    if _is_sum(node):
        yield from _flat(node.left)
        yield from _flat(node.right)
    else:
        yield node


def _texts(operands: list[ast.expr], text: str) -> tuple[str, ...]:
    return tuple(_text(operand, text) for operand in operands if not isinstance(operand, ast.Constant))


def _text(node: ast.expr, text: str) -> str:
    return " ".join((ast.get_source_segment(text, node) or "").split())
