"""What fed an operation: the operations before it, along what was written and read."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import get_args

from evenkeel.core.operation import Operation, Phase
from evenkeel.locate.record import Record
from evenkeel.locate.trace import Trace

_MOST = 40
_PHASES: frozenset[Phase] = frozenset(get_args(Phase))


def upstream(record: Record, trace: Trace) -> tuple[Operation, ...]:
    """What fed the forward operation that a record is, or stands for; nearest first, 40 at most."""
    forward = trace.records[record.forward] if record.forward is not None else record
    return tuple(islice(_ancestors(forward, trace, _PHASES), _MOST))


def incoming(derivative: Record, trace: Trace) -> tuple[Operation, ...]:
    """What fed a derivative: the way of the gradient, then what else it was made of; each nearest first, 40 at most.

    The way comes first because every station of it reads what forward had saved, which alone would fill the list.
    """
    way = tuple(islice(_ancestors(derivative, trace, {"backward"}), _MOST))
    known = {operation.index for operation in way}
    around = islice(_ancestors(derivative, trace, _PHASES), _MOST)
    return (*way, *(operation for operation in around if operation.index not in known))


def _ancestors(record: Record, trace: Trace, phases: Collection[Phase]) -> Iterator[Operation]:
    """Breadth first over the writers of what was read, within these phases; views are no operations of their own."""
    queue, seen = deque([record.index]), {record.index}
    while queue:
        for read in trace.records[queue.popleft()].reads:
            writer = read.writer
            if writer is not None and writer not in seen and trace.records[writer].phase in phases:
                seen.add(writer)
                queue.append(writer)
                yield trace.records[writer].operation()
