"""Edits of a text, told by the words that they are about."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from evenkeel.core.edit import Edit, Hole, Span

Spans = Callable[..., Span]


def span(text: str, words: str, *, nth: int = 0, file: str = "train.py", scope: str = "<module>") -> Span:
    """Where the words stand, as bytecode would tell it; `nth` counts from 0 where they stand more than once."""
    begin = -1
    for _ in range(nth + 1):
        begin = text.index(words, begin + 1)
    line, column = _position(text, begin)
    end_line, end_column = _position(text, begin + len(words))
    return Span(file=file, scope=scope, line=line, column=column, end_line=end_line, end_column=end_column)


def _position(text: str, offset: int) -> tuple[int, int]:
    lines = text[:offset].replace("\r\n", "\n").split("\n")
    return len(lines), len(lines[-1].encode())


def log_softmax(text: str, log: str, softmax: str, *, imports: tuple[str, ...] = ("import torch",)) -> Edit:
    """`log` of `softmax`, two calls of functions, as one stable operation."""
    return Edit(
        span=span(text, log),
        template="torch.log_softmax({0}, dim={1})",
        holes=(
            Hole(span=span(text, softmax), position=0, keyword="input"),
            Hole(span=span(text, softmax), position=1, keyword="dim", default="-1"),
        ),
        imports=imports,
    )


@pytest.fixture
def spans() -> Spans:
    """`span`."""
    return span


@pytest.fixture
def stable() -> Callable[..., Edit]:
    """`log_softmax`."""
    return log_softmax
