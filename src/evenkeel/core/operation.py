"""One traced operation and its elements, as later stages see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evenkeel.core.place import Place
from evenkeel.core.stats import TensorStats

Phase = Literal["forward", "backward", "optimizer", "state", "data"]
LeafKind = Literal["batch", "parameter", "buffer", "gradient", "optimizer", "external"]


def is_collective(op: str) -> bool:
    """Whether an operation of that name brings values from other ranks."""
    return op.startswith(("c10d.", "_c10d_functional."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A tensor that no traced operation made: where values enter the step.

    `optimizer` is what an optimizer keeps: "AdamW.exp_avg of encoder.weight". `external` is anything that is neither
    that nor a batch of a loader, a parameter, a buffer nor an old gradient: a constant, or data that the loop takes in
    its own way.
    """

    kind: LeafKind
    name: str
    stats: TensorStats
    is_updated: bool | None = None  # a parameter: an optimizer of the loop updates it (an average's is not); else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation of the replayed step with what went in and came out."""

    index: int  # position in the trace of the step
    op: str  # "aten.log.default"
    function: str  # "log": the plain name, in-place and private marks removed
    phase: Phase
    api: str = ""  # the torch function that the user's line called, "cross_entropy"; "" for a tensor method
    place: Place | None = None
    module: str = ""  # path of the innermost module, "decoder.0"
    inputs: tuple[TensorStats, ...] = ()
    outputs: tuple[TensorStats, ...] = ()
    scalars: tuple[float, ...] = ()  # Python numbers among the arguments
    made_by: tuple[int | None, ...] = ()  # for each input, the index of the operation that made it; None: a leaf

    @property
    def is_collective(self) -> bool:
        """Whether it brings values from other ranks."""
        return is_collective(self.op)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """One offending element: its index in the output, the operands there, and the result."""

    index: tuple[int, ...]
    operands: tuple[float, ...]
    result: float
