"""Replace a function of torch while a context lasts, wherever it is defined."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]

_KEY = "__evenkeel_patch__"


@contextmanager
def patched(owner: Any, name: str, wrap: Wrap) -> Iterator[None]:
    """Let `owner.name` be what `wrap` makes of it; name and signature stay.

    Several may end in any order: one that lies under another passes calls on until that one ends too.
    """
    patch = _Patch(getattr(owner, name), wrap)
    setattr(owner, name, patch.function)
    try:
        yield
    finally:
        patch.is_over = True
        while (top := _patch_of(getattr(owner, name))) is not None and top.is_over:
            setattr(owner, name, top.original)


class _Patch:
    """A function in the place of another one, for as long as it is not over."""

    def __init__(self, original: Callable[..., Any], wrap: Wrap) -> None:
        """Take the place of `original`."""
        self.original = original
        self.is_over = False
        wrapped = wrap(original)

        @functools.wraps(original)
        def function(*args: Any, **kwargs: Any) -> Any:
            return (original if self.is_over else wrapped)(*args, **kwargs)

        vars(function)[_KEY] = self
        self.function = function


def _patch_of(function: object) -> _Patch | None:
    """Ours, unless somebody wrapped it and took over its attributes."""
    patch = getattr(function, _KEY, None)
    return patch if isinstance(patch, _Patch) and patch.function is function else None


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
