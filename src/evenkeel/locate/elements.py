"""The offending elements of an operation with what was computed there, read while the operands still exist."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from evenkeel.core.operation import Element
from evenkeel.locate.masks import any_of, first_of
from evenkeel.locate.record import Record, Touch
from evenkeel.tensors.measure import dense

_MOST = 256  # where something bad was made of something good
_FEW = 16


def elements_of(record: Record, written: Touch, tensor: Tensor, operands: Sequence[Tensor]) -> tuple[Element, ...]:
    """Elements of a bad result: those that were made of good operands, else some of the others.

    None for a pointwise operation that only passes on what was bad already. `operands` are those of a pointwise
    operation. Cost: a few passes over the masks, and two small copies to the host for each operand.
    """
    if tensor.is_complex() or tensor.layout != torch.strided or _passes_on(record, written):
        return ()
    bad, has_bad_reads = written.nonfinite(), any(read.bad for read in record.reads)
    born = bad & ~_inherited(record, bad, kind="any") if record.pointwise and has_bad_reads else bad
    if any_of(born):
        chosen = first_of(born, _MOST if record.pointwise or not has_bad_reads else _FEW)
    elif any_of(_dense(written.nan) & ~_inherited(record, bad, kind="nan")):
        chosen = first_of(bad, _MOST)
    else:
        return ()
    spread = [dense(o).broadcast_to(tensor.shape) for o in operands if _fits(o, tensor)]
    columns = [_values(s, chosen) for s in spread]
    return tuple(
        Element(index=tuple(index), operands=tuple(column[row] for column in columns), result=result)
        for row, (index, result) in enumerate(zip(chosen.tolist(), _values(dense(tensor), chosen), strict=True))
    )


def _passes_on(record: Record, written: Touch) -> bool:
    """Whether a pointwise operation left NaN just where one operand had it, and no infinity."""
    made = written.content
    if not record.pointwise or made is None or made.nan is None or made.inf is None or not made.inf.is_empty:
        return False
    return any(read.content is not None and read.content.nan is made.nan for read in record.reads if not read.source)


def _inherited(record: Record, bad: Tensor, *, kind: str) -> Tensor:
    """Where an operand of a pointwise operation was bad already: not finite at all, or NaN."""
    result = torch.zeros((), dtype=torch.bool, device="cpu")
    for read in record.reads:
        if read.bad and _spreads(read.shape, bad.shape):
            result = result | (read.nonfinite() if kind == "any" else _dense(read.nan))
    return result


def _values(tensor: Tensor, chosen: Tensor) -> list[float]:
    places = tuple(chosen.to(tensor.device).unbind(-1))
    taken = tensor[places] if places else tensor.reshape(1).expand(len(chosen))
    found: list[float] = taken.cpu().double().tolist()
    return found


def _dense(mask: Tensor | None) -> Tensor:
    return torch.zeros((), dtype=torch.bool, device="cpu") if mask is None else mask


def _fits(operand: Tensor, tensor: Tensor) -> bool:
    return not operand.is_complex() and _spreads(tuple(operand.shape), tuple(tensor.shape))


def _spreads(shape: tuple[int, ...], full: tuple[int, ...]) -> bool:
    """Whether a tensor of that shape is broadcast to the full one."""
    trailing = full[len(full) - len(shape) :] if len(shape) <= len(full) else None
    return trailing is not None and all(size in (1, whole) for size, whole in zip(shape, trailing, strict=True))
