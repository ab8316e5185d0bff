"""Which elements of an input can have reached given elements of the output, per kind of operation."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.locate.record import Record, Touch

_ALONG_DIM = {"softmax", "log_softmax", "cumsum", "logcumsumexp", "cumprod", "sort"}
_REDUCTIONS = {
    "sum", "mean", "amax", "amin", "logsumexp", "var", "std", "norm", "prod", "max", "min", "nansum", "median",
}  # fmt: skip


def influence(record: Record, written: Touch, relevant: Tensor, read: Touch) -> Tensor:
    """A mask of `read`'s shape: elements that may have reached the `relevant` elements of `written`.

    Exact for pointwise operations, reductions, softmax and matrix products; everything for the rest, which can only
    list too much, never too little.
    """
    if "foreach" in record.op:
        return torch.full(read.shape, _same_position(written.name, read.name))
    if record.pointwise or record.function in {"masked_fill", "masked_fill_", "copy", "copy_", "allreduce"}:
        return _unbroadcast(relevant, read.shape)
    if record.function in _ALONG_DIM and relevant.shape == read.shape and record.dims:
        return relevant.any(dim=record.dims[0], keepdim=True).expand(read.shape)
    if record.function in _REDUCTIONS and record.dims is not None:
        return _unreduce(relevant, record.dims, read.shape)
    if record.function in {"mm", "bmm", "addmm", "baddbmm"}:
        return _through_matmul(record, relevant, read)
    return torch.ones(read.shape, dtype=torch.bool)


def _same_position(written: str, read: str) -> bool:
    _, bracket, position = written.partition("[")
    return not bracket or "[" not in read or read.endswith(bracket + position)


def _unbroadcast(relevant: Tensor, shape: tuple[int, ...]) -> Tensor:
    if relevant.shape == shape:
        return relevant
    if len(shape) > relevant.dim():
        return torch.ones(shape, dtype=torch.bool)
    result = relevant
    while result.dim() > len(shape):
        result = result.any(dim=0)
    for dimension, size in enumerate(shape):
        if size == 1 and result.shape[dimension] != 1:
            result = result.any(dim=dimension, keepdim=True)
    return result if result.shape == shape else torch.ones(shape, dtype=torch.bool)


def _unreduce(relevant: Tensor, dims: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    wanted = sorted(d % len(shape) for d in dims) if shape else []
    result = relevant
    if not wanted:  # an empty `dim` means all of them
        return torch.ones(shape, dtype=torch.bool)
    if result.dim() < len(shape):
        for dimension in wanted:
            result = result.unsqueeze(dimension)
    try:
        return result.expand(shape)
    except RuntimeError:  # an output that is not the reduced tensor (indices, say): everything may count
        return torch.ones(shape, dtype=torch.bool)


def _through_matmul(record: Record, relevant: Tensor, read: Touch) -> Tensor:
    """Rows of the left factor, columns of the right one, the broadcast of an added term."""
    added = record.function.endswith("addmm") or record.function == "baddbmm"
    if added and read.name == "self":
        return _unbroadcast(relevant, read.shape)
    left, right = {"self", "mat1", "batch1"}, {"mat2", "batch2"}
    rows, columns = relevant.any(dim=-1, keepdim=True), relevant.any(dim=-2, keepdim=True)
    if read.name in right and columns.shape[-1] == read.shape[-1]:
        return columns.expand(read.shape)
    if read.name in left and len(read.shape) == relevant.dim() and rows.shape[-2] == read.shape[-2]:
        return rows.expand(read.shape)
    return torch.ones(read.shape, dtype=torch.bool)
