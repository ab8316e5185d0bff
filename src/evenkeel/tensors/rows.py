"""The rows of a batch: what its containers hold for each sample."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from evenkeel.tensors.trees import named_tensors

_PAIR = 2  # a list of two is inputs and targets, not two samples


def holds_rows(batch: object, num_rows: int, concerned: Collection[int]) -> bool:
    """Whether `with_rows` can exchange rows of every concerned tensor (by `id`) of the batch that has dimensions.

    A graph batch or a packed sequence lays its samples end to end: there is no row to exchange.
    """
    several = {id(tensor) for _, tensor in named_tensors(batch, "") if tensor.dim() > 0 and id(tensor) in concerned}
    return bool(several) and several <= _reached(batch, num_rows)


def with_rows(batch: object, rows: Sequence[int]) -> object:
    """The batch with row `rows[i]` in the place of row i, in new tensors and containers.

    A row of a tensor is that of its first dimension; a list with an element for each sample counts as rows too. What
    has no rows stays itself.
    """
    if isinstance(batch, Tensor):
        if not _has_rows(batch, len(rows)):
            return batch
        return batch.detach()[torch.tensor(rows, device=batch.device)].requires_grad_(batch.requires_grad)
    if isinstance(batch, list | tuple):
        if _is_ragged(batch, len(rows)):
            return type(batch)(batch[row] for row in rows)
        parts: list[Any] = [with_rows(part, rows) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if isinstance(batch, Mapping):
        exchanged = copy.copy(batch)
        for key, part in batch.items():
            exchanged[key] = with_rows(part, rows)  # type: ignore[index]  # those that cannot be written hold no rows
        return exchanged
    return batch


def _reached(batch: object, num_rows: int) -> set[int]:
    """The tensors that `with_rows` exchanges."""
    if isinstance(batch, Tensor):
        return {id(batch)} if _has_rows(batch, num_rows) else set()
    if isinstance(batch, list | tuple):
        if _is_ragged(batch, num_rows):
            return {id(tensor) for _, tensor in named_tensors(batch, "")}
        return {i for part in batch for i in _reached(part, num_rows)}
    if isinstance(batch, Mapping) and hasattr(batch, "__setitem__"):
        return {i for part in batch.values() for i in _reached(part, num_rows)}
    return set()


def _has_rows(tensor: Tensor, num_rows: int) -> bool:
    return tensor.layout == torch.strided and tensor.dim() > 0 and tensor.shape[0] == num_rows


def _is_ragged(parts: Sequence[object], num_rows: int) -> bool:
    """A list with an element for each sample, and not a list of tensors that each have all rows."""
    if len(parts) != num_rows or num_rows <= _PAIR or hasattr(parts, "_fields") or len(set(map(type, parts))) != 1:
        return False
    return not all(isinstance(part, Tensor) and _has_rows(part, num_rows) for part in parts)
