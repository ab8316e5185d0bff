"""Trace one step: every operation of forward and backward with ranges, places and bad elements."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from evenkeel.core.operation import Phase, is_collective
from evenkeel.core.stats import TensorStats
from evenkeel.locate.arguments import Argument, dimensions, numbers, signature_of, tensor_arguments, unfolded
from evenkeel.locate.call import call_of
from evenkeel.locate.collectives import wait_for
from evenkeel.locate.content import content_of, count_zeros
from evenkeel.locate.elements import elements_of
from evenkeel.locate.influence.table import needs_call
from evenkeel.locate.memory import Memory
from evenkeel.locate.record import Record, Touch, storage_of
from evenkeel.locate.source import Sight, running_line
from evenkeel.tensors.nodes import last_node, running_node

_UNFILLED = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
_MOST_COPIED = 16 << 20  # bytes of what an operation is about to overwrite

Written = tuple[Touch, Tensor]


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves the base untyped
    """A dispatch mode that records operations while `active`; see `Record` for what it keeps.

    Memory: about 2 KB an operation; a mask of 2 bits an element for each tensor written with some elements bad; the
    indices of gathers and the like, once each, 64 MiB in all beside those of operations with a bad result; for the
    time of one operation a copy of what it overwrites, where that is at most 16 MiB. No other values.
    Cost: one read of every tensor written, with a host sync each; a few where something is bad. Only for replays.
    """

    def __init__(self, module_path: Callable[[], str]) -> None:
        """Begin inactive. `module_path` tells which module is running."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.records: list[Record] = []
        self.sent: list[Tensor] = []  # what was not finite when it went to the other ranks
        self.active = False
        self.phase: Phase = "forward"
        self._module_path = module_path
        self._memory = Memory()
        self._node_owners: dict[int, int] = {}

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let compiled code run compiled while the mode is on; what it hands to torch is seen."""
        return True

    @property
    def leaves(self) -> dict[int, TensorStats]:
        """By storage: what no operation wrote, as first read."""
        return self._memory.leaves

    def begin(self) -> None:
        """Forget everything and record from here."""
        for kept in (self.sent, self.records, self._node_owners):
            kept.clear()
        self._memory.forget()
        self.active = True
        self.phase = "forward"

    def record_of(self, node: int) -> int | None:
        """The record of the operation that made the autograd node of this sequence number."""
        return self._node_owners.get(node)

    def bad_writer(self, tensor: Tensor) -> int | None:
        """The record that last wrote something non-finite into the tensor's memory."""
        return self._memory.last_bad(storage_of(tensor))

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation; record it while active."""
        if any(map(_wraps_others, types)):  # it comes again as operations on the tensors inside
            return NotImplemented
        keywords = kwargs or {}
        if not self.active or func.namespace == "profiler":
            return func(*args, **keywords)
        if func.overloadpacket is torch.ops.aten.copy_ and self._completes_a_collective(args[0], args[1]):
            return func(*args, **keywords)
        arguments = [a for a in tensor_arguments(func, args, keywords) if _has_values(a.tensor)]
        read = [a for a in arguments if not a.overwritten]
        reads = [self._memory.read(a.tensor, a.name) for a in read]  # before the operation: it may transpose them
        before = _as_they_are(read)
        if is_collective(signature_of(func).op):
            self.sent += [a.tensor for a, touch in zip(read, reads, strict=True) if touch.bad]
        result = func(*args, **keywords)
        wait_for(func, result)
        record = self._recorded(func, args, keywords)
        record.reads = reads
        written = list(self._write(record, arguments, result))
        record.writes = [touch for touch, _ in written]
        is_bad = any(touch.bad for touch in record.writes)
        if needs_call(record.kind, is_bad=is_bad):
            record.call = call_of(func, args, keywords, partial(self._memory.kept_index, at_any_size=is_bad))
        if is_bad:
            _inspect(record, before, written)
        self.records.append(record)
        return result

    def _completes_a_collective(self, into: Tensor, source: Tensor) -> bool:
        """Whether a collective that was recorded already hands over its result once more.

        Gloo copies from a buffer of its own each time somebody waits for it.
        """
        writing = self._memory.last_writing(storage_of(into))
        if writing is None or not is_collective(self.records[writing.record].op):
            return False
        return self._memory.last_writing(storage_of(source)) is None

    def _recorded(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Record:
        signature = signature_of(func)
        node = running_node()
        forward = None if node is None else self._node_owners.get(node)
        sight = running_line(only_inside_backward=forward is not None)
        record = Record(
            index=len(self.records),
            op=signature.op,
            kind=signature.kind,
            function=signature.function,
            phase="backward" if node is not None else "optimizer" if sight.clips else self.phase,
            pointwise=signature.pointwise,
            api=sight.api,
            place=sight.place,
            module=self._module_path(),
            scalars=numbers(func, args, kwargs),
            dims=dimensions(func, args, kwargs),
            forward=forward,
        )
        if forward is not None:
            self._borrow_place(record, sight)
        self._node_owners.setdefault(last_node(), record.index)
        return record

    def _borrow_place(self, record: Record, sight: Sight) -> None:
        """Give a backward operation the line, function and module of its forward operation."""
        if is_collective(record.op):  # it is nobody's derivative: what it brings was born elsewhere
            record.forward = None
        if record.forward is None:
            sight = running_line()
            record.place, record.api = sight.place, sight.api
            return
        forward = self.records[record.forward]
        record.module = forward.module
        if sight.in_engine:
            record.place, record.api = forward.place, forward.api
        else:  # a backward or a hook written by the user is running: that is the line to mend
            record.forward = None

    def _write(self, record: Record, arguments: list[Argument], result: Any) -> Iterator[Written]:
        """Note what was written: results in memory of their own, and arguments. Views are nobody's writing."""
        given = {storage_of(a.tensor) for a in arguments}
        made = [(name, t) for name, t in unfolded(result, "out") if not t.is_nested and storage_of(t) not in given]
        position = 0
        for name, tensor in [*made, *((a.name, a.tensor) for a in arguments if a.written)]:
            is_filled = record.function not in _UNFILLED and _has_values(tensor)
            touch = self._memory.write(tensor, name, record.index, position, is_filled=is_filled)
            if is_filled:
                position += 1
                yield touch, tensor


def _wraps_others(kind: type) -> bool:
    """Whether tensors of this class (DTensor, say) hold other tensors and have no memory of their own."""
    return hasattr(kind, "__tensor_flatten__")


def _has_values(tensor: Tensor) -> bool:
    return not (tensor.is_meta or tensor.is_quantized or tensor.is_nested)


def _as_they_are(read: Sequence[Argument]) -> list[Tensor | None]:
    """The operands as the operation finds them; None for what it overwrites, where that is large."""
    is_small = sum(a.tensor.nbytes for a in read if a.written) <= _MOST_COPIED
    return [a.tensor if not a.written else a.tensor.detach().clone() if is_small else None for a in read]


def _inspect(record: Record, before: Sequence[Tensor | None], written: Sequence[Written]) -> None:
    """Look closely at what made a bad output, while the operands are still there."""
    is_born_here = not any(read.bad for read in record.reads)
    for read, tensor in zip(record.reads, before, strict=True):
        if tensor is None or read.bad or read.content is None:
            continue
        if is_born_here or not read.is_exact:  # trust nothing: somebody may have written past the trace
            read.content, read.source, read.is_exact = content_of(tensor), None, True
        count_zeros(read.content, tensor)
    for touch, _ in written:
        for read in record.reads:
            if touch.bad and read.bad and touch.content is not None and read.content is not None:
                touch.content.share_masks(read.content)
    touch, tensor = next((touch, tensor) for touch, tensor in written if touch.bad)
    known = [operand for operand in before if operand is not None]
    operands = known if record.pointwise and len(known) == len(before) else []
    record.elements = elements_of(record, touch, tensor, operands)
