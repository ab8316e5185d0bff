"""Replace a function of torch while a context lasts, wherever it is defined."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


@contextmanager
def patched(owner: Any, name: str, wrap: Wrap) -> Iterator[None]:
    """Let `owner.name` be what `wrap` makes of it; name and signature stay."""
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(wrap(original)))
    try:
        yield
    finally:
        setattr(owner, name, original)


@contextmanager
def patched_tree(root: type, name: str, wrap: Wrap) -> Iterator[None]:
    """Patch a method where it is defined in a class and in its present subclasses."""
    with ExitStack() as stack:
        for owner in {root, *_subclasses(root)}:
            if name in vars(owner):
                stack.enter_context(patched(owner, name, wrap))
        yield


def _subclasses(root: type) -> Iterator[type]:
    children: list[type] = root.__subclasses__()
    for child in children:
        yield child
        yield from _subclasses(child)
