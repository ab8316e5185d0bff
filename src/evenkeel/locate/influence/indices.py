"""Which elements of an index decided where these elements of the output came from."""

from __future__ import annotations

import torch
from torch import Tensor

from evenkeel.locate.influence.shadow import Shadow, elementwise, everything
from evenkeel.locate.record import Record, Touch

_SAME_SHAPE = {"gather", "index_select", "masked_fill", "nll_loss2d_forward", "nll_loss_forward", "take", "where"}


def chosen_by(record: Record, written: Touch, read: Touch) -> Shadow | None:
    """The shadow of an index; None where it cannot be told."""
    call = record.call
    if record.kind == "embedding":
        return lambda x: x.unsqueeze(-1).expand(written.shape)
    if record.kind == "index_select" and record.dims:
        after = len(written.shape) - record.dims[0] % len(written.shape) - 1
        return lambda x: x.reshape([-1, *[1] * after]).expand(written.shape)
    if record.kind == "scatter" and record.dims:  # a number put where the index says: one_hot
        dims = record.dims
        return lambda x: x.sum(dims, keepdim=True).expand(written.shape)
    if record.kind in _SAME_SHAPE:
        shadow = elementwise(record, written, read)
        return shadow if written.shape else everything(record, written, read)
    if record.kind == "index" and call is not None and call.is_complete:
        return _of_index(call.index("indices"), written)
    return None


def _of_index(indices: list[Tensor | None], written: Touch) -> Shadow | None:
    """Advanced indexing by one index: its elements take the place of the dimension."""
    given = [i for i, index in enumerate(indices) if index is not None]
    if len(given) != 1:
        return None
    index = indices[given[0]]
    if index is None:
        return None
    is_mask = index.dtype == torch.bool
    num = 1 if is_mask else index.dim()
    after = len(written.shape) - given[0] - num

    def shadow(x: Tensor) -> Tensor:
        taken = x[index] if is_mask else x
        return taken.reshape([*taken.shape, *[1] * after]).expand(written.shape)

    return shadow
