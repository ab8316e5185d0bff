"""Functions replaced while a context lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from evenkeel.step.patching import patched


def adding(number: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """A patch that adds to what the function returns."""
    return lambda original: lambda x: original(x) + number


@pytest.mark.parametrize("first", ["lower", "upper"])
def test_patches_end_in_any_order(first: str) -> None:
    """The one that goes on works on, and when both are over the function is itself again."""

    def same(x: int) -> int:
        return x

    owner: Any = SimpleNamespace(same=same)
    lower, upper = ExitStack(), ExitStack()
    lower.enter_context(patched(owner, "same", adding(1)))
    upper.enter_context(patched(owner, "same", adding(10)))
    assert owner.same(0) == 11
    ended, left = (lower, upper) if first == "lower" else (upper, lower)
    ended.close()
    assert owner.same(0) == (10 if first == "lower" else 1)
    left.close()
    assert owner.same is same


def test_what_somebody_put_above_stays() -> None:
    """A wrapper of the program's own is not taken away; it calls the function itself afterwards."""

    def same(x: int) -> int:
        return x

    owner: Any = SimpleNamespace(same=same)
    with patched(owner, "same", adding(1)):
        under = owner.same
        owner.same = lambda x: 2 * under(x)
    assert owner.same(3) == 6
