"""The text of one file as a tree, searched by the positions that Python's bytecode tells."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from evenkeel.core.edit import Span
from evenkeel.patch.refusal import Refused

Expression = ast.Call | ast.BinOp | ast.UnaryOp | ast.Subscript  # what may be replaced, or hold an operand
Extent = tuple[int, int, int, int]  # line and column of the beginning, then of the end; columns in bytes

_SCOPES = (
    ast.Module,
    ast.ClassDef,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.Lambda,
    ast.ListComp,
    ast.SetComp,
    ast.DictComp,
    ast.GeneratorExp,
)


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed text; every node knows its parent."""

    text: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST]

    @classmethod
    def of(cls, text: str) -> Source:
        """Parse a text.

        Raises:
            Refused: it is not Python.
        """
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError) as error:  # ValueError: a null byte
            raise Refused(f"the file cannot be read as Python: {error}") from error
        return cls(text, tree, {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)})

    def expression(self, span: Span) -> Expression:
        """The call or operation that stands exactly at `span`.

        Raises:
            Refused: there is none, as when the file was changed since it was loaded.
        """
        wanted = (span.line, span.column, span.end_line, span.end_column)
        for node in ast.walk(self.tree):
            if isinstance(node, Expression) and wanted in _extents(node):
                return node
            if isinstance(node, ast.AugAssign) and wanted == extent(node):
                raise Refused(f"line {span.line} assigns in place ({self.words(node)}), which is left as it is")
        raise Refused(f"on line {span.line} no call or operation stands where it stood when the program was loaded")

    def words(self, node: ast.AST) -> str:
        """The text of a node, without parentheses around it."""
        return ast.get_source_segment(self.text, node) or ""

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """The nodes around a node, innermost first."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def statement(self, node: ast.AST) -> ast.stmt:
        """The innermost statement that a node belongs to."""
        return next(n for n in (node, *self.above(node)) if isinstance(n, ast.stmt))

    def scope(self, node: ast.AST) -> ast.AST:
        """The function, comprehension, class or module in which a node's names are looked up."""
        return next(n for n in self.above(node) if isinstance(n, _SCOPES))


def extent(node: ast.expr | ast.stmt) -> Extent:
    """Where a node begins and ends."""
    return (node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)


def one_line(text: str) -> str:
    """The text with every run of white space as one space."""
    return " ".join(text.split())


def _extents(node: Expression) -> tuple[Extent, ...]:
    """As the tree has it; a method on a line of its own is told from its name on by the bytecode."""
    whole = extent(node)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return (whole,)
    name = node.func
    column = (name.end_col_offset or 0) - len(name.attr.encode())
    return (whole, (name.end_lineno or name.lineno, column, *whole[2:]))
