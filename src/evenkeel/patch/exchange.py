"""Puts texts into the places of expressions, and keeps the comments that stood inside."""

from __future__ import annotations

import io
import tokenize
from collections import Counter
from collections.abc import Mapping
from typing import TypeVar

import libcst as cst

Exchanged = tuple[str, str, bool]  # the text before, the text after, and whether that gets parentheses
Node = TypeVar("Node", bound=cst.CSTNode)


class Exchange(cst.CSTTransformer):
    """Replaces expressions; a comment that would be lost goes above the statement that it stood in."""

    def __init__(self, exchanged: Mapping[cst.CSTNode, Exchanged]) -> None:
        """Replace each of these nodes of the tree that is visited."""
        super().__init__()
        self._exchanged = exchanged
        self._lost: list[list[str]] = [[]]  # comments, for each statement that is being visited

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Nothing inside of what is replaced needs a visit."""
        if hasattr(node, "leading_lines"):
            self._lost.append([])
        return node not in self._exchanged

    def on_leave(  # type: ignore[override]  # LibCST asks for a type of node in, and gives the same out
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode:
        """Replace it, or give a statement its comments."""
        if original_node in self._exchanged:
            before, after, is_wrapped = self._exchanged[original_node]
            self._lost[-1] += (Counter(_comments(before)) - Counter(_comments(after))).elements()
            return _expression(after, updated_node, is_wrapped=is_wrapped)
        if not hasattr(original_node, "leading_lines"):
            return updated_node
        lost = [cst.EmptyLine(comment=cst.Comment(text)) for text in self._lost.pop()]
        return _with_lines_above(updated_node, lost) if lost else updated_node


def _expression(text: str, old: cst.CSTNode, *, is_wrapped: bool) -> cst.BaseExpression:
    """The expression with the parentheses of the old one around it."""
    new = cst.parse_expression(f"({text})")
    old_left, old_right = _parentheses(old)
    left, right = _parentheses(new)
    if not is_wrapped:
        left, right = left[1:], right[:-1]
    return new.with_changes(lpar=(*old_left, *left), rpar=(*right, *old_right))


def _parentheses(node: cst.CSTNode) -> tuple[tuple[cst.LeftParen, ...], tuple[cst.RightParen, ...]]:
    return tuple(getattr(node, "lpar", ())), tuple(getattr(node, "rpar", ()))


def _with_lines_above(statement: Node, lines: list[cst.EmptyLine]) -> Node:
    return statement.with_changes(leading_lines=(*getattr(statement, "leading_lines", ()), *lines))


def _comments(expression: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(f"({expression}\n)").readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]
