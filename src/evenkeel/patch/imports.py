"""Import statements that a patch needs: whether they are there, and where they go."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Literal

import libcst as cst
from libcst import matchers as m

from evenkeel.patch.bindings import bindings
from evenkeel.patch.refusal import Refused
from evenkeel.patch.source import Expression, Source

_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_Kind = Literal["docstring", "future", "import", "from", "other"]
_BLANK = cst.EmptyLine(indent=False)


def missing_imports(source: Source, wanted: Sequence[str], edited: Expression) -> tuple[str, ...]:
    """Those of the statements `wanted`, of one name each, that the place of `edited` cannot see yet.

    Raises:
        Refused: the name is taken there.
    """
    return tuple(statement for statement in wanted if not _is_there(source, statement, edited))


def with_imports(module: cst.Module, statements: Sequence[str]) -> cst.Module:
    """The module with import statements among those at its top; everything else stays as it is."""
    for statement in dict.fromkeys(statements):
        module = _with_import(module, statement)
    return module


def _is_there(source: Source, statement: str, edited: Expression) -> bool:
    name, origin = _named(ast.parse(statement).body[0])[0]
    functions = [n for n in source.above(edited) if isinstance(n, _Scope) and n is not source.tree]
    for scope in (*functions, source.tree):
        found = list(_origins(scope, name))
        if any(other != origin for other in found):
            raise Refused(f"the patch needs `{statement}`, and {name} is something else in this file")
        if found and scope is not source.tree:
            return True
    always = [n for s in source.tree.body for n in (s.body if isinstance(s, ast.Try) else [s])]
    return any((name, origin) in _named(node) for node in always)


def _origins(scope: _Scope, name: str) -> Iterator[str]:
    """What a name stands for in a scope: what an import makes of it; "" for anything else."""
    if not isinstance(scope, ast.Module):
        yield from ("" for node in ast.walk(scope.args) if isinstance(node, ast.arg) and node.arg == name)
    for statement in scope.body if isinstance(scope.body, list) else []:
        imports = [node for node in ast.walk(statement) if isinstance(node, ast.Import | ast.ImportFrom)]
        for binding in bindings(statement):
            if binding.key != name or isinstance(binding.node, ast.Attribute | ast.Subscript | ast.Call):
                continue  # writing into what a name holds leaves the name as it is
            makers = [node for node in imports if binding.node in node.names]
            yield from (origin for node in makers for made, origin in _named(node) if made == name)
            yield from () if makers else ("",)


def _named(node: ast.AST) -> list[tuple[str, str]]:
    """The names that an import makes, each with what it stands for."""
    if isinstance(node, ast.Import):
        tops = [(alias.asname, alias.name.partition(".")[0], alias.name) for alias in node.names]
        return [(asname, whole) if asname else (top, top) for asname, top, whole in tops]
    if isinstance(node, ast.ImportFrom):
        home = f"{'.' * node.level}{node.module or ''}"
        return [(alias.asname or alias.name, f"{home}.{alias.name}") for alias in node.names]
    return []


def _with_import(module: cst.Module, statement: str) -> cst.Module:
    """After the last plain `import` at the top; else before the first `from`; else below the docstring."""
    line = cst.SimpleStatementLine(cst.ensure_type(cst.parse_statement(statement), cst.SimpleStatementLine).body)
    body: list[cst.BaseStatement] = list(module.body)
    kinds = [_kind(s, i) for i, s in enumerate(body)]
    top = kinds[: kinds.index("other")] if "other" in kinds else kinds
    if "import" in top:
        body.insert(len(top) - top[::-1].index("import"), line)
    elif "from" in top:
        first = top.index("from")
        body[first : first + 1] = [_with_lines(line, _lines(body[first])), _with_lines(body[first], ())]
    else:
        above = (_BLANK,) if top else ()
        next_one = body[len(top)]
        below = next_one if _begins_with_blank(next_one) else _with_lines(next_one, (_BLANK, *_lines(next_one)))
        body[len(top) : len(top) + 1] = [_with_lines(line, above), below]
    return module.with_changes(body=body)


def _kind(statement: cst.BaseStatement, position: int) -> _Kind:
    if position == 0 and m.matches(statement, m.SimpleStatementLine([m.Expr(m.SimpleString())])):
        return "docstring"
    if m.matches(statement, m.SimpleStatementLine([m.ImportFrom(m.Name("__future__"))])):
        return "future"
    if m.matches(statement, m.SimpleStatementLine([m.Import()])):
        return "import"
    return "from" if m.matches(statement, m.SimpleStatementLine([m.ImportFrom()])) else "other"


def _begins_with_blank(statement: cst.BaseStatement) -> bool:
    return any(line.comment is None for line in _lines(statement)[:1])


def _lines(statement: cst.BaseStatement) -> Sequence[cst.EmptyLine]:
    found: Sequence[cst.EmptyLine] = getattr(statement, "leading_lines", ())
    return found


def _with_lines(statement: cst.BaseStatement, lines: Sequence[cst.EmptyLine]) -> cst.BaseStatement:
    return statement.with_changes(leading_lines=lines)
