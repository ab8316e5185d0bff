"""Where in the user's text a call stands, down to its columns."""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import opcode
import os
from pathlib import Path
from types import CodeType, FrameType
from typing import Literal, NamedTuple

import torch

from evenkeel.core.edit import Span

Kind = Literal["call", "operator"]

_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_OURS = f"{Path(__file__).resolve().parent.parent}{os.sep}"
# Frames of a function that is being called, between the user's line and the mode that sees the call. Modules of an
# activation or a loss hand on what they are given, in the same order.
_DOORS = tuple(
    _TORCH + part.replace("/", os.sep)
    for part in (
        "overrides.py",
        "_tensor.py",
        "functional.py",
        "_jit_internal.py",
        "nn/functional.py",
        "nn/modules/module.py",
        "nn/modules/activation.py",
        "nn/modules/loss.py",
    )
)


class Site(NamedTuple):
    """A line of a file that led to a call."""

    line: int
    scope: str
    span: Span | None  # the expression of the call; None where the line made it by way of others, or nothing tells
    kind: Kind

    def number_is_first(self) -> bool | None:
        """Whether a binary operator has its number on the left ("2 * x"); None where the text does not tell."""
        node = None if self.span is None else _expression(self.span)
        if not isinstance(node, ast.BinOp):
            return None
        left, right = _is_number(node.left), _is_number(node.right)
        return None if left == right else left


def site_of(frame: FrameType | None, file: str) -> Site | None:
    """The innermost line of a file above a frame.

    Cost: a walk up the Python stack; the columns are read once a place.
    """
    is_direct = True
    while frame is not None:
        filename = frame.f_code.co_filename
        if filename == file:
            span = _span_at(frame.f_code, frame.f_lasti) if is_direct else None
            return Site(frame.f_lineno, frame.f_code.co_name, span, _kind_at(frame.f_code, frame.f_lasti))
        is_direct = is_direct and filename.startswith((*_DOORS, _OURS))
        frame = frame.f_back
    return None


@functools.lru_cache(maxsize=4096)
def _span_at(code: CodeType, instruction: int) -> Span | None:
    positions = getattr(code, "co_positions", None)  # Python 3.10 has none
    if positions is None:
        return None
    line, end_line, column, end_column = next(itertools.islice(positions(), instruction // 2, None))
    if line is None or end_line is None or column is None or end_column is None:
        return None
    return Span(
        file=code.co_filename,
        scope=code.co_name,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
    )


@functools.lru_cache(maxsize=4096)
def _kind_at(code: CodeType, instruction: int) -> Kind:
    while instruction > 0 and opcode.opname[code.co_code[instruction]] in {
        "CACHE",
        "<0>",
    }:  # what a call keeps behind it
        instruction -= 2
    return "call" if opcode.opname[code.co_code[instruction]].startswith("CALL") else "operator"


@functools.lru_cache(maxsize=256)
def _expression(span: Span) -> ast.expr | None:
    lines = [linecache.getline(span.file, n).encode() for n in range(span.line, span.end_line + 1)]
    if not all(lines):
        return None
    lines[-1] = lines[-1][: span.end_column]
    lines[0] = lines[0][span.column :]
    try:
        return ast.parse(b"(" + b"".join(lines) + b")", mode="eval").body
    except SyntaxError:
        return None


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
