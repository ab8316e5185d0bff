"""Writing to a terminal on which a progress bar of tqdm is drawn."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bars_aside() -> Iterator[None]:
    """Take the bars of the program away while the context lasts, and draw them again below what was written.

    For a program that has not imported tqdm, nothing.
    """
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        yield
        return
    with tqdm.external_write_mode(file=sys.stderr):
        yield
