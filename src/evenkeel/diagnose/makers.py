"""Search the operations that made an argument, through those that only pass its meaning on."""

from __future__ import annotations

from collections.abc import Callable, Collection

from evenkeel.core.case import Case
from evenkeel.core.operation import Operation
from evenkeel.core.stats import TensorStats
from evenkeel.diagnose import evidence, lineage

Test = Callable[[Operation], bool]
COPIES = frozenset({"clone", "contiguous", "copy", "to", "to_copy", "detach", "expand", "cat", "stack"})
PICKS = frozenset({"gather", "index", "index_select", "masked_select"})


def made_argument(case: Case, operation: Operation, argument: TensorStats) -> Operation | None:
    """The operation that made an argument, copies looked through; told by its range where the trace does not say."""
    if not operation.made_by:
        return evidence.maker(case, argument)
    maker = lineage.maker(case, operation, operation.inputs.index(argument))
    return nearest(case, maker, lambda o: evidence.base(o) not in COPIES, named(COPIES))


def nearest(case: Case, start: Operation | None, fits: Test, passes: Test) -> Operation | None:
    """The nearest operation that fits, from `start` back through operations that pass; None where there is none."""
    waiting = [start] if start is not None else []
    seen: set[int] = set()
    while waiting:
        operation = waiting.pop(0)
        if fits(operation):
            return operation
        if operation.index not in seen and passes(operation):
            makers = (lineage.maker(case, operation, position) for position in range(len(operation.made_by)))
            waiting += [o for o in makers if o is not None]
        seen.add(operation.index)
    return None


def named(names: Collection[str]) -> Test:
    """The test for an operation of one of these names."""
    return lambda operation: evidence.base(operation) in names


def is_square(operation: Operation) -> bool:
    """A square, or the product of a tensor with itself: of the same maker, or of equal ranges that are no mask's."""
    name = evidence.base(operation)
    if name not in {"mul", "bmm"}:
        return name == "square" or (name == "pow" and operation.scalars == (2.0,))
    ranges = {(stats.min, stats.max) for stats in operation.inputs}
    same_maker = len(set(operation.made_by)) == 1 and operation.made_by[0] is not None
    return len(operation.inputs) > 1 and len(ranges) == 1 and (same_maker or ranges != {(0.0, 1.0)})
