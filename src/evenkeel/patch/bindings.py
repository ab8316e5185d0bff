"""Which names an expression reads, and which names statements give another value."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

Key = str  # "x", or "self.scale"

_BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, slots=True)
class Binding:
    """A name that gets another value, and the node that gives it."""

    key: Key
    node: ast.AST
    line: int


def reads(expression: ast.AST) -> frozenset[Key]:
    """Names with the attributes asked of them: `self.scale`, `x`."""
    key = _key(expression)
    if key is not None:
        return frozenset([key])
    return frozenset(read for child in ast.iter_child_nodes(expression) for read in reads(child))


def concern(read: Key, bound: Key) -> bool:
    """Whether a new value of `bound` may be seen by who reads `read`: one is a part of the other, or is the same."""
    return read == bound or read.startswith(f"{bound}.") or bound.startswith(f"{read}.")


def bindings(node: ast.AST) -> Iterator[Binding]:
    """Names that get another value inside of a node: assigned, imported, deleted, or written to in place.

    What happens in functions defined there is not looked at; they run when they are called.
    """
    line = getattr(node, "lineno", 0)
    for key in (*_bound(node), *_written(node)):
        yield Binding(key, node, line)
    if isinstance(node, (*_BLOCKS, ast.Lambda)):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.comprehension):  # its targets are names of its own
            yield from (b for part in (child.iter, *child.ifs) for b in bindings(part))
        else:
            yield from bindings(child)


def writes_in_place(node: ast.AST) -> bool:
    """Whether a call writes into what it is given: then its place is not only that of a value."""
    return next(_written(node), None) is not None


def _bound(node: ast.AST) -> Iterator[Key]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del()):
            yield from filter(None, [_base(node)])
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


def _written(node: ast.AST) -> Iterator[Key]:
    """Tensors that a call writes into: `x.mul_(2)`, `torch.relu_(x)`, `f(x, inplace=True)`, `out=x`."""
    if not isinstance(node, ast.Call):
        return
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    named = {keyword.arg: keyword.value for keyword in node.keywords}
    inplace = named.get("inplace")
    if (called.endswith("_") and not called.endswith("__")) or not _is_false(inplace):
        receiver = [node.func.value] if isinstance(node.func, ast.Attribute) else []
        yield from filter(None, map(_base, [*receiver, *node.args]))
    if "out" in named:
        yield from filter(None, [_base(named["out"])])


def _is_false(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and not value.value)


def _key(node: ast.AST) -> Key | None:
    if isinstance(node, ast.Name):
        return node.id
    inner = _key(node.value) if isinstance(node, ast.Attribute) else None
    return None if inner is None or not isinstance(node, ast.Attribute) else f"{inner}.{node.attr}"


def _base(node: ast.AST) -> Key | None:
    """What a place belongs to: `x` for `x[0]`, `self.p` for `self.p[i].data`."""
    key = _key(node)
    if key is None and isinstance(node, ast.Subscript | ast.Attribute | ast.Starred):
        return _base(node.value)
    return key
