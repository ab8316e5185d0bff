"""Which samples of the batch the offending elements belong to."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from evenkeel.core.operation import Leaf
from evenkeel.locate.batch import Batch
from evenkeel.locate.record import Record, Touch
from evenkeel.locate.rows import indices_of, rows_behind

_STATE = {"parameter", "buffer", "optimizer"}
_RANDOM = ("bernoulli", "exponential", "log_normal", "multinomial", "native_dropout", "normal", "rand", "uniform")


def batch_size(tensors: Iterable[Tensor]) -> int | None:
    """The leading size that most tensors of a batch share; None when there is none."""
    sizes = Counter(t.shape[0] for t in tensors if t.dim() > 0)
    return sizes.most_common(1)[0][0] if sizes else None


def rows_of_batch(relevant: Tensor, num_samples: int | None) -> tuple[int, ...]:
    """The rows that hold a relevant element, judged by the shape alone.

    The batch dimension is the first of size `num_samples`; a leading dimension that is a multiple of it is read as
    rows times something (flattened tokens). Empty when no dimension fits: then the rows are unknown.
    """
    if num_samples is None or num_samples < 1 or relevant.dim() == 0:
        return ()
    matching = [d for d, size in enumerate(relevant.shape) if size == num_samples]
    if matching:
        return indices_of(relevant.movedim(matching[0], 0).reshape(num_samples, -1).any(dim=1))
    if relevant.shape[0] % num_samples == 0 and relevant.shape[0] > num_samples > 1:
        return indices_of(relevant.reshape(num_samples, -1).any(dim=1))
    return ()


@dataclass(frozen=True, slots=True)
class SampleFinder:
    """Asks the trace which samples were behind some elements, and where it does not know, their shape."""

    records: Sequence[Record]
    batch: Batch
    leaves: Mapping[int, Leaf]  # by storage
    num_samples: int | None

    def samples_of(self, record: Record, touch: Touch, relevant: Tensor) -> tuple[int, ...]:
        """The samples behind the relevant elements of what `record` wrote or read.

        All of them where parameters alone are behind it. Empty when unknown.
        """
        told = rows_of_batch(relevant, self.num_samples)
        start = self._in_forward(record, touch, relevant)
        if start is None or self.num_samples is None:
            return told
        rows = rows_behind(self.records, *start, relevant, self.batch)
        if rows and len(rows) < self.num_samples:
            return rows
        if not rows and self._is_made_of_state(start[0]):
            return tuple(range(self.num_samples))
        return told

    def _in_forward(self, record: Record, touch: Touch, relevant: Tensor) -> tuple[Record, Touch] | None:
        """Where to begin: of a derivative at what it is the gradient of, as far as the shape tells."""
        if record.forward is None:
            return (record, touch) if record.phase == "forward" else None
        forward = self.records[record.forward]
        shape = tuple(relevant.shape)
        alike = [t for t in (*forward.reads, *forward.writes) if t.shape == shape and not self._is_state(t)]
        return (forward, alike[0]) if alike else None

    def _is_state(self, touch: Touch) -> bool:
        leaf = self.leaves.get(touch.storage)
        return touch.writer is None and leaf is not None and leaf.kind in _STATE

    def _is_made_of_state(self, record: Record) -> bool:
        """Whether nothing but parameters and buffers went in, and no random numbers."""
        queue, seen, reads_state = deque([record]), {record.index}, False
        while queue:
            current = queue.popleft()
            if current.kind.startswith(_RANDOM):
                return False
            for read in current.reads:
                if read.writer is None:
                    if not self._is_state(read):
                        return False
                    reads_state = True
                elif read.writer not in seen:
                    seen.add(read.writer)
                    queue.append(self.records[read.writer])
        return reads_state
