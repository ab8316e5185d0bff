"""Writing to a terminal on which a progress bar is drawn, by tqdm or by rich."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def stderr_beside_bars() -> Iterator[Console]:
    """A console on stderr, from which what is written stands clear of the program's bars.

    Those of tqdm are taken away while the context lasts, and drawn again below what was written. What draws with rich
    puts its own file in the place of stderr and writes above its bars whatever it is given; a console of ours would
    pass it by, so the text goes there as a whole. Where stderr is no terminal there is no bar.
    """
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)
    if tqdm is None:
        with _beside_rich() as console:
            yield console
        return
    with tqdm.external_write_mode(file=sys.stderr), _beside_rich() as console:
        yield console


@contextmanager
def _beside_rich() -> Iterator[Console]:
    terminal = getattr(sys.stderr, "rich_proxied_file", None)
    if terminal is None or not terminal.isatty():
        yield Console(file=sys.stderr)
        return
    text = io.StringIO()
    yield Console(file=text, force_terminal=True, width=Console(file=terminal).width)
    sys.stderr.write(text.getvalue())
