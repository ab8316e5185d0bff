"""Numbers, counts and places in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats


def shape(stats: TensorStats) -> str:
    """`[8, 3]`; "scalar" for a tensor without dimensions."""
    return str(list(stats.shape)) if stats.shape else "scalar"


def listed(items: Sequence[object], limit: int = 8) -> str:
    """`3`, `3 and 7`, `1, 2, 3 and 40 more`."""
    shown = [str(item) for item in items[:limit]]
    if len(items) > limit:
        return f"{', '.join(shown)} and {len(items) - limit:,} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def short(file: str) -> str:
    """The path relative to the current directory when it lies below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def size(num_bytes: int) -> str:
    """`412 bytes`, `76 kB`, `1.3 GB`."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if num_bytes >= 10**power:
            return f"{num_bytes / 10**power:.3g} {unit}"
    return f"{num_bytes} bytes"


def cite(place: Place) -> str:
    """`train.py:41 in kl`; without the function at the top level of a file."""
    return f"{short(place.file)}:{place.line}" + (f" in {place.scope}" if place.scope != "<module>" else "")


def name_of(operation: Operation) -> str:
    """What the user would call it: `log`, or `nll_loss (in cross_entropy)` when their line says that."""
    if operation.api and operation.api != operation.function:
        return f"{operation.function} (in {operation.api})"
    return operation.function
