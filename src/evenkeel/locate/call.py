"""The arguments of an operation without their values, to run it again on stand-ins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch._ops import OpOverload

from evenkeel.locate.arguments import given, signature_of, unfolded

# Arguments that say where values go. They are kept as they are; of all other tensors only the shape.
INDICES = {
    "bag_size", "batch_sizes", "condition", "index", "indices", "lengths", "mask", "maximum_indices", "offset2bag",
    "offsets", "target",
}  # fmt: skip
_MOST_ELEMENTS = 1 << 27  # of all stand-ins together: half a GiB

Keep = Callable[[Tensor], Tensor | None]  # a copy of an index that nobody will change, if there is room for it


@dataclass(frozen=True, slots=True)
class StandIn:
    """A tensor of which only the shape is known."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """An operation and its arguments: tensors of values are stand-ins, indices are kept."""

    func: OpOverload
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    is_complete: bool  # whether every index was kept

    def sizes(self, name: str) -> list[int]:
        """The numbers given for a name; empty when there are none."""
        value = self.value(name)
        if isinstance(value, int):
            return [value]
        return [int(part) for part in value] if isinstance(value, list | tuple) else []

    def index(self, name: str) -> list[Tensor | None]:
        """The index given for a name, as a list."""
        value = self.value(name)
        parts = value if isinstance(value, list) else [value]
        return [part if isinstance(part, Tensor) else None for part in parts]

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of the tensor of values given for a name."""
        value = self.value(name)
        return value.shape if isinstance(value, StandIn) else ()

    def value(self, name: str) -> object:
        """The argument of that name, or its default."""
        signature = signature_of(self.func)
        position = next((i for i, slot in enumerate(signature.slots) if slot.name == name), None)
        if position is None:
            return None
        if position < len(self.args) or name in self.kwargs:
            return given(signature, position, self.args, self.kwargs)
        return signature.slots[position].default

    def run(self, replaced: Mapping[str, Tensor], changed: Mapping[str, object]) -> dict[str, Tensor]:
        """Run the operation with ones for all values but the `replaced` ones, and `changed` arguments.

        Returns: what it wrote, by the names that the trace gives them.
        """
        num_elements = sum(x.numel() for x in replaced.values()) + self._num_elements(without=replaced)
        if not self.is_complete or num_elements > _MOST_ELEMENTS:
            message = f"{self.func} cannot be run again"
            raise RuntimeError(message)
        slots = signature_of(self.func).slots
        written = {slot.name for slot in slots if slot.written}
        used: dict[str, Tensor] = {}

        def filled(value: object) -> object:
            if isinstance(value, StandIn):
                given_one = replaced.get(value.name)
                ones = torch.ones(value.shape, device="cpu", dtype=torch.float32) if given_one is None else given_one
                is_written = value.name.partition("[")[0] in written
                used[value.name] = ones.clone() if is_written else ones
                return used[value.name]
            return [filled(part) for part in value] if isinstance(value, list) else value

        names = [slot.name for slot in slots]
        args = [changed.get(name, filled(value)) for name, value in zip(names, self.args, strict=False)]
        kwargs = {name: changed.get(name, filled(value)) for name, value in self.kwargs.items()}
        return used | dict(unfolded(self.func(*args, **kwargs), "out"))

    def _num_elements(self, without: Mapping[str, Tensor]) -> int:
        parts = [part for value in (*self.args, *self.kwargs.values()) for part in _flat(value)]
        return sum(math.prod(p.shape) for p in parts if isinstance(p, StandIn) and p.name not in without)


def call_of(func: OpOverload, args: Sequence[object], kwargs: Mapping[str, object], keep: Keep) -> Call:
    """Keep what is needed to run an operation again. Memory: that of its indices."""
    names = [slot.name for slot in signature_of(func).slots]
    lost: list[str] = []

    def kept(value: object, name: str, base: str) -> object:
        if isinstance(value, Tensor):
            if base not in INDICES:
                return StandIn(name, tuple(value.shape))
            copied = keep(value)
            if copied is None:
                lost.append(name)
            return copied
        if isinstance(value, list | tuple):
            return [kept(part, f"{name}[{i}]", base) for i, part in enumerate(value)]
        return value

    plain = tuple(kept(value, name, name) for name, value in zip(names, args, strict=False))
    named = {name: kept(value, name, name) for name, value in kwargs.items()}
    return Call(func, plain, named, is_complete=not lost)


def _flat(value: object) -> Sequence[object]:
    return [inner for part in value for inner in _flat(part)] if isinstance(value, list) else [value]
