"""Expressions are found where Python's own bytecode says that they stand."""

from __future__ import annotations

import ast
import dis
import sys
from collections.abc import Iterator
from types import CodeType

import pytest

from evenkeel.core.edit import Span
from evenkeel.patch.refusal import Refused
from evenkeel.patch.source import Source

TEXT = '''\
def f(self, größe, x, y=g(1)):
    """Doc."""
    p = torch.softmax(x, 1); q = "é" + größe.log().mean()
    loss = (x
        .softmax(1)  # rows
        .log()
        .sum(
            1
        )
    ) / -y
    text = f"ü {torch.log(p)} {x.exp() + 1:.3f}"
    z = [a.sqrt() for a in F.relu(self.layer(x))] if h(x) @ y else lambda b: b ** 2
    with k(x) as m, n(y):
        return {"a": (yield r(*x, **y)), **s(-x)}
'''
WANTED = """
    g(1); torch.softmax(x, 1); größe.log(); größe.log().mean(); 'é' + größe.log().mean(); x.softmax(1);
    x.softmax(1).log(); x.softmax(1).log().sum(1); x.softmax(1).log().sum(1) / -y; -y; torch.log(p); x.exp();
    x.exp() + 1; a.sqrt(); F.relu(self.layer(x)); self.layer(x); h(x); h(x) @ y; b ** 2; k(x); n(y); r(*x, **y);
    s(-x); -x
"""


def spans(code: CodeType) -> Iterator[Span]:
    """Where the calls and operations of a code object stand, and those of the functions in it."""
    for instruction in dis.get_instructions(code):
        where = instruction.positions
        if instruction.opname.startswith(("CALL", "BINARY_OP", "UNARY_NEG")) and where is not None:
            line, end_line, column, end_column = where
            if None not in where:
                yield Span(
                    file="f", scope=code.co_name, line=line, column=column, end_line=end_line, end_column=end_column
                )
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from spans(constant)


def written_at(source: Source, span: Span) -> str:
    """The expression; "" for what a comprehension and the end of a `with` call, which is written nowhere."""
    try:
        return ast.unparse(source.expression(span))
    except Refused:
        return ""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 knows no columns")
def test_every_call_and_operation_is_found() -> None:
    """Methods on lines of their own, f-strings, letters of several bytes, comprehensions."""
    source = Source.of(TEXT)
    found = {written_at(source, span) for span in spans(compile(TEXT, "f", "exec"))}
    assert found - {""} == {" ".join(text.split()) for text in WANTED.split(";")}
