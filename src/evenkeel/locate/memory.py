"""Which operation of the trace last wrote which memory, and what it left there."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from evenkeel.core.stats import TensorStats
from evenkeel.locate.content import Content, content_of
from evenkeel.locate.layout import Layout
from evenkeel.locate.record import Touch, Writing, key_of, memory_of, storage_of

_MOST_INDEX_BYTES = 64 << 20


class Memory:
    """Every storage that the traced operations touched; no tensor is kept.

    What was written is looked at once. Who reads it in the same arrangement is told what was seen then, so a read
    costs no look at the tensor, but for views of memory of which a part is bad or was not seen to be written.
    """

    def __init__(self) -> None:
        """Nothing was touched yet."""
        self.leaves: dict[int, TensorStats] = {}  # by storage: what no operation wrote, as first read
        self._last: dict[int, Writing] = {}
        self._first_reads: dict[int, tuple[Touch, bool]] = {}  # of leaves; whether the whole storage was read
        self._seen: dict[tuple[object, ...], Content] = {}
        self._held: dict[int, StorageWeakRef] = {}
        self._indices: dict[tuple[object, ...], Tensor] = {}
        self._index_bytes = 0

    def forget(self) -> None:
        """Begin anew."""
        for kept in (self.leaves, self._last, self._first_reads, self._seen, self._held, self._indices):
            kept.clear()
        self._index_bytes = 0

    def last_writing(self, storage: int) -> Writing | None:
        """The operation that last wrote into a storage."""
        return self._last.get(storage)

    def last_bad(self, storage: int) -> int | None:
        """The record that last wrote something non-finite that may still be there."""
        writing = self._last.get(storage)
        while writing is not None and writing.any_bad:
            if writing.touch.bad:
                return writing.record
            writing = writing.earlier
        return None

    def read(self, tensor: Tensor, name: str) -> Touch:
        """Note that an operation is about to read a tensor. Cost: none, or one look at it."""
        touch = self._touch(tensor, name)
        touch.history = self._last.get(touch.storage)
        source, is_finite = self._source(touch)
        if source is None or source.content is None:
            touch.content = self._look(tensor, touch)
        elif source.layout == touch.layout:
            touch.content = source.content
        elif touch.layout.is_arrangement_of(source.layout):
            touch.content, touch.source = source.content, source
        elif is_finite:
            touch.content, touch.is_exact = source.content, False
        else:
            touch.content = self._look(tensor, touch)
        if touch.history is None and touch.storage not in self.leaves:
            self._first_reads[touch.storage] = touch, _covers(tensor) and not touch.layout.has_overlaps()
            self.leaves[touch.storage] = touch.content.stats(name, touch.shape)
        return touch

    def write(self, tensor: Tensor, name: str, record: int, position: int, *, is_filled: bool) -> Touch:
        """Note that an operation has written a tensor. Cost: one look at it."""
        touch = self._touch(tensor, name)
        if is_filled:
            touch.content = content_of(tensor)
        is_whole = _covers(tensor)
        earlier = None if is_whole else self._last.get(touch.storage)
        self._last[touch.storage] = Writing(
            record=record,
            position=position,
            touch=touch,
            is_complete=is_filled and (is_whole or (earlier is not None and earlier.is_complete)),
            any_bad=touch.bad or (earlier is not None and earlier.any_bad),
            earlier=earlier,
        )
        return touch

    def kept_index(self, tensor: Tensor, *, at_any_size: bool) -> Tensor | None:
        """A copy of a tensor that says where values go, one for all who use it; None where there is no room.

        Memory: 64 MiB in all, beyond that only what is asked for `at_any_size`.
        """
        storage = storage_of(tensor)
        writing = self._last.get(storage)
        key = (storage, None if writing is None else writing.record, Layout.of(tensor))
        if key not in self._indices:
            if self._index_bytes + tensor.nbytes > _MOST_INDEX_BYTES and not at_any_size:
                return None
            self._index_bytes += tensor.nbytes
            self._indices[key] = tensor.detach().cpu().clone()
        return self._indices[key]

    def _source(self, touch: Touch) -> tuple[Touch | None, bool]:
        """What was seen of the storage last, and whether all of the storage is known to be finite."""
        last = touch.history
        if last is not None:
            return last.touch, last.is_complete and not last.any_bad
        first, is_whole = self._first_reads.get(touch.storage, (None, False))
        return first, first is not None and is_whole and not first.bad

    def _look(self, tensor: Tensor, touch: Touch) -> Content:
        key = (touch.storage, touch.layout, touch.writer)
        if key not in self._seen:
            self._seen[key] = content_of(tensor)
        return self._seen[key]

    def _touch(self, tensor: Tensor, name: str) -> Touch:
        memory = memory_of(tensor)
        storage = key_of(memory)
        if storage not in self._held:  # its address is not given away; its memory is freed as ever
            self._held[storage] = StorageWeakRef(memory)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return Touch(name, storage, Layout.of(tensor))


def _covers(tensor: Tensor) -> bool:
    """Whether nothing else lies in the tensor's storage."""
    return tensor.layout != torch.strided or tensor.nbytes >= tensor.untyped_storage().nbytes()
