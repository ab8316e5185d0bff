"""Long tables of programs: a few rows in every run of the tests, the others in `make test-long`."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def rows(table: Iterable[object], *, always: Collection[object], slow: Collection[object] = ()) -> list[Any]:
    """The rows of a table under their own names; those in `always` are in every run of the tests."""
    return [pytest.param(row, id=str(row), marks=_marks(row, always, slow)) for row in table]


def _marks(row: object, always: Collection[object], slow: Collection[object]) -> list[pytest.MarkDecorator]:
    is_long = row not in always
    return [*([pytest.mark.slow] if row in slow else []), *([pytest.mark.long] if is_long else [])]
