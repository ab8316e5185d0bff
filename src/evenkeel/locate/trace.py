"""Trace one step: every operation of forward and backward with ranges, places and bad elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

from evenkeel.core.operation import Element, Phase, is_collective
from evenkeel.core.stats import TensorStats
from evenkeel.locate.arguments import Argument, base_name, dimensions, numbers, tensor_arguments
from evenkeel.locate.collectives import wait_for
from evenkeel.locate.nodes import last_node, running_node
from evenkeel.locate.record import Record, Touch, memory_of, storage_of
from evenkeel.locate.source import Sight, running_line
from evenkeel.tensors.measure import dense, describe, quick

_MOST_ELEMENTS = 256
_UNFILLED = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves the base untyped
    """A dispatch mode that records operations while `active`; see `Record` for what it keeps.

    Memory: statistics per operation, and masks (1 byte an element) of tensors with non-finite elements.
    Cost: about two reads of every tensor, with a host sync each; only for replays.
    """

    def __init__(self, module_path: Callable[[], str]) -> None:
        """Begin inactive. `module_path` tells which module is running."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.records: list[Record] = []
        self.leaves: dict[int, TensorStats] = {}  # by storage: what no operation wrote, as first read
        self.sent: list[Tensor] = []  # what was not finite when it went to the other ranks
        self.active = False
        self.phase: Phase = "forward"
        self._module_path = module_path
        self._writers: dict[int, int] = {}
        self._bad_writers: dict[int, list[int]] = {}
        self._held: dict[int, StorageWeakRef] = {}
        self._node_owners: dict[int, int] = {}

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let compiled code run compiled while the mode is on; what it hands to torch is seen."""
        return True

    def begin(self) -> None:
        """Forget everything and record from here."""
        for kept in (
            self.sent,
            self.records,
            self.leaves,
            self._writers,
            self._bad_writers,
            self._node_owners,
            self._held,
        ):
            kept.clear()
        self.active = True
        self.phase = "forward"

    def record_of(self, node: int) -> int | None:
        """The record of the operation that made the autograd node of this sequence number."""
        return self._node_owners.get(node)

    def bad_writer(self, tensor: Tensor) -> int | None:
        """The record that last wrote something non-finite into the tensor's memory."""
        return next(reversed(self._bad_writers.get(storage_of(tensor), [])), None)

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
        before = [a.tensor.detach().clone() if a.written else a.tensor for a in read]
        reads = [self._read(a) for a in read]  # before the operation: it may transpose them in place
        if is_collective(str(func)):
            known = zip(read, reads, strict=True)
            self.sent += [a.tensor for a, touch in known if touch.stats is not None and touch.stats.num_nonfinite]
        result = func(*args, **keywords)
        wait_for(func, result)
        record = self._recorded(func, args, keywords)
        record.reads = reads
        self._write(record, arguments, result)
        if any(w.bad for w in record.writes):
            self._inspect(record, before, result)
        self.records.append(record)
        return result

    def _completes_a_collective(self, into: Tensor, source: Tensor) -> bool:
        """Whether a collective that was recorded already hands over its result once more.

        Gloo copies from a buffer of its own each time somebody waits for it.
        """
        writer = self._writers.get(storage_of(into))
        return writer is not None and is_collective(self.records[writer].op) and storage_of(source) not in self._writers

    def _recorded(self, func: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Record:
        node = running_node()
        sight = running_line()
        forward = None if node is None else self._node_owners.get(node)
        record = Record(
            index=len(self.records),
            op=str(func),
            function=base_name(func),
            phase="backward" if node is not None else self.phase,
            pointwise=torch.Tag.pointwise in func.tags,
            api=sight.api,
            place=sight.place,
            module=self._module_path(),
            scalars=numbers(func, args, kwargs),
            dims=dimensions(func, args, kwargs),
            forward=forward,
        )
        if node is not None:
            self._borrow_place(record, sight)
        self._node_owners.setdefault(last_node(), record.index)
        return record

    def _borrow_place(self, record: Record, sight: Sight) -> None:
        """Give a backward operation the line, function and module of its forward operation."""
        if is_collective(record.op):  # it is nobody's derivative: what it brings was born elsewhere
            record.forward = None
        if record.forward is None:
            return
        forward = self.records[record.forward]
        record.module = forward.module
        if sight.in_engine:
            record.place, record.api = forward.place, forward.api
        else:  # a backward or a hook written by the user is running: that is the line to mend
            record.forward = None

    def _read(self, argument: Argument) -> Touch:
        touch = Touch.at(argument.tensor, argument.name)
        self._hold(argument.tensor, touch.storage)
        touch.writer = self._writers.get(touch.storage)
        touch.bad_writers = tuple(reversed(self._bad_writers.get(touch.storage, ())))
        if touch.writer is None:
            touch.stats = self._leaf(touch, argument.tensor)
        else:
            touch.stats = _renamed(self.records[touch.writer], touch)
        return touch

    def _leaf(self, touch: Touch, seen: Tensor) -> TensorStats:
        if touch.storage not in self.leaves:
            self.leaves[touch.storage] = quick(seen, touch.name) or describe(seen, touch.name)
        return self.leaves[touch.storage]

    def _write(self, record: Record, arguments: list[Argument], result: Any) -> None:
        read = {storage_of(a.tensor) for a in arguments}
        made = _tensors(result)
        named = [(f"out[{i}]" if len(made) > 1 else "out", t) for i, t in enumerate(made)]
        outputs = [(name, t) for name, t in named if storage_of(t) not in read]
        outputs += [(a.name, a.tensor) for a in arguments if a.written]
        for name, tensor in outputs:
            touch = Touch.at(tensor, name)
            self._hold(tensor, touch.storage)
            self._writers[touch.storage] = record.index
            if record.function in _UNFILLED or not _has_values(tensor):
                self._bad_writers.pop(touch.storage, None)
                continue
            touch.stats = quick(tensor, name)
            if tensor.layout != torch.strided or tensor.nbytes >= tensor.untyped_storage().nbytes():
                self._bad_writers.pop(touch.storage, None)
            if touch.stats is None:
                _examine(touch, tensor)
                self._bad_writers.setdefault(touch.storage, []).append(record.index)
            record.writes.append(touch)

    def _inspect(self, record: Record, before: list[Tensor], result: Any) -> None:
        """Look closely at what made a bad output, while the operands are still there."""
        for touch, seen in zip(record.reads, before, strict=True):
            _examine(touch, seen)
        operands = before if record.pointwise else []
        bad = next(w for w in record.writes if w.bad)
        tensor = next((t for t in _tensors(result) if storage_of(t) == bad.storage), None)
        if tensor is not None:
            record.elements = _elements(tensor, bad, operands)

    def _hold(self, tensor: Tensor, storage: int) -> None:
        """Keep the storage's address from being given away; its memory is freed as ever."""
        if storage not in self._held:
            self._held[storage] = StorageWeakRef(memory_of(tensor))  # type: ignore[no-untyped-call]  # torch leaves it untyped


def _wraps_others(kind: type) -> bool:
    """Whether tensors of this class (DTensor, say) hold other tensors and have no memory of their own."""
    return hasattr(kind, "__tensor_flatten__")


def _has_values(tensor: Tensor) -> bool:
    return not (tensor.is_meta or tensor.is_quantized)


def _tensors(result: Any) -> list[Tensor]:
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, list | tuple):
        return [t for part in result for t in _tensors(part)]
    return []


def _renamed(writer: Record, touch: Touch) -> TensorStats | None:
    """What the writer left, under the reader's name and shape."""
    for written in writer.writes:
        if written.storage == touch.storage and written.stats is not None:
            return replace(written.stats, name=touch.name, shape=touch.shape)
    return None


def _examine(touch: Touch, tensor: Tensor) -> None:
    """Exact statistics, and masks when something is not finite."""
    touch.stats = describe(tensor, touch.name)
    if touch.stats.num_nonfinite:
        values = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
        touch.nan = values.isnan().cpu()
        touch.inf = values.isinf().cpu()


def _elements(tensor: Tensor, touch: Touch, operands: list[Tensor]) -> tuple[Element, ...]:
    if touch.nan is None or tensor.is_complex() or tensor.layout != torch.strided:
        return ()
    bad = touch.nonfinite()
    spread = [dense(o).broadcast_to(tensor.shape) for o in operands if _fits(o, tensor)]
    born = bad & torch.stack([torch.isfinite(s).cpu() for s in spread]).all(dim=0) if spread else bad
    chosen = torch.nonzero(born if born.any() else bad)[:_MOST_ELEMENTS]
    return tuple(
        Element(
            index=tuple(int(i) for i in row),
            operands=tuple(float(s[tuple(row)]) for s in spread),
            result=float(tensor.detach()[tuple(row)]),
        )
        for row in chosen
    )


def _fits(operand: Tensor, tensor: Tensor) -> bool:
    if operand.is_complex() or operand.dim() > tensor.dim():
        return False
    trailing = tensor.shape[tensor.dim() - operand.dim() :]
    return all(size in (1, full) for size, full in zip(operand.shape, trailing, strict=True))
