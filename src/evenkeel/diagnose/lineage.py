"""Follow an argument of an operation to what made it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evenkeel.core.case import Case
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence

_FAR = 6  # operations that an argument is followed through


def arguments(operation: Operation, name: str) -> Iterator[tuple[int, TensorStats]]:
    """The tensors given under that name, with their positions: one, or all of a list (`self[0]`, `self[1]`, …)."""
    for position, stats in enumerate(operation.inputs):
        if stats.name == name or stats.name.startswith(f"{name}["):
            yield position, stats


def maker(case: Case, operation: Operation, position: int) -> Operation | None:
    """What made the argument at that position; None for a leaf, and for what lies beyond the operations kept."""
    index = operation.made_by[position] if position < len(operation.made_by) else None
    if index is None:
        return None
    return next((known for known in _known(case) if known.index == index), None)


def nearest(case: Case, operation: Operation, position: int, wanted: Callable[[Operation], bool]) -> Operation | None:
    """The nearest operation of the wanted kind that the argument was made by, along first arguments."""
    found = maker(case, operation, position)
    for _ in range(_FAR):
        if found is None or wanted(found):
            return found
        found = maker(case, found, 0)
    return None


def born_before(case: Case, operation: Operation) -> Operation | None:
    """Where the non-finite values that the operation received were born: finite in, and something bad out."""
    waiting, seen = [operation], {operation.index}
    while waiting:
        current = waiting.pop(0)
        makers = [maker(case, current, i) for i, stats in enumerate(current.inputs) if stats.num_nonfinite]
        for found in (made for made in makers if made is not None and made.index not in seen):
            if evidence.is_finite(found):
                return found
            seen.add(found.index)
            waiting.append(found)
    return None


def _known(case: Case) -> Iterator[Operation]:
    yield from case.upstream
    yield from case.incoming
    yield from case.replaced
    yield from (link.operation for link in case.chain)
