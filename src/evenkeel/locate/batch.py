"""What a loop was handed: which samples the elements of its memory belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from evenkeel.locate.layout import Layout, carried
from evenkeel.locate.record import Touch, storage_of
from evenkeel.tensors.trees import named_tensors

_PAIR = 2  # a list of two is inputs and targets, not two samples


@dataclass(frozen=True, slots=True)
class BatchTensor:
    """A tensor of a batch, and the sample of each place along one of its dimensions."""

    layout: Layout
    dim: int
    owners: Tensor

    def samples(self, mask: Tensor, num_samples: int) -> Tensor:
        """The samples of marked elements, as a mask."""
        found = torch.zeros(num_samples, dtype=torch.bool, device="cpu")
        if self.layout.shape:
            marked = mask.movedim(self.dim, 0).reshape(self.layout.shape[self.dim], -1).any(dim=1)
        else:
            marked = mask.reshape(1)
        found[self.owners[marked]] = True
        return found


class Batch:
    """Batches by their memory. No tensor is kept."""

    def __init__(self, batches: Iterable[object], num_samples: int | None) -> None:
        """Find the samples in every tensor of these containers.

        They lie along the first dimension of that size; in a list with an element for each sample they are those;
        in a packed or nested tensor, and in a tensor of rows of which another says whose they are, as told there.
        """
        self.num_samples = num_samples or 0
        self._parts: dict[int, list[BatchTensor | None]] = {}
        for batch in batches:
            tensors = [tensor for _, tensor in named_tensors(batch, "")]
            maps = dict(_owners_told(tensors, self.num_samples)) if self.num_samples else {}
            for tensor, owners in _with_owners(batch, self.num_samples):
                self._add(tensor, owners, maps)

    @property
    def storages(self) -> set[int]:
        """The memory of all its tensors."""
        return set(self._parts)

    def samples(self, touch: Touch, marked: Tensor) -> Tensor | None:
        """The samples that these elements of the batch's memory belong to, as a mask; None where that is unknown."""
        found = torch.zeros(self.num_samples, dtype=torch.bool, device="cpu")
        for part in self._parts[touch.storage]:
            if part is None:
                return None
            found = found | part.samples(carried(marked, touch.layout, part.layout), self.num_samples)
        return found

    def _add(self, tensor: Tensor, owners: Tensor | None, maps: Mapping[int, Tensor]) -> None:
        key, values = storage_of(tensor), tensor
        if tensor.is_nested:
            if tensor.layout != torch.jagged:
                return
            owners, values = _by_ends(tensor.offsets()), tensor.values()  # type: ignore[attr-defined]  # of jagged ones
        layout = Layout.of(values)
        self._parts.setdefault(key, []).append(_part(layout, self.num_samples, owners, maps))


def _part(layout: Layout, num_samples: int, owners: Tensor | None, maps: Mapping[int, Tensor]) -> BatchTensor | None:
    rows = layout.shape[0] if layout.shape else 1
    if owners is not None and len(owners) in {1, rows}:
        return BatchTensor(layout, 0, owners.expand(rows))
    if rows in maps and rows != num_samples:
        return BatchTensor(layout, 0, maps[rows])
    for dim, size in enumerate(layout.shape):
        if size == num_samples:
            return BatchTensor(layout, dim, torch.arange(size, device="cpu"))
    return None


def _with_owners(batch: object, num_samples: int) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Every tensor of a batch, with the sample of its rows where the containers tell."""
    if isinstance(batch, PackedSequence):
        places = torch.cat([torch.arange(int(size), device="cpu") for size in batch.batch_sizes])
        order = batch.sorted_indices
        yield batch.data, places if order is None else order.cpu()[places]
    elif isinstance(batch, list | tuple) and _has_one_each(batch, num_samples):
        for sample, part in enumerate(batch):
            yield from ((tensor, torch.tensor([sample], device="cpu")) for _, tensor in named_tensors(part, ""))
    elif isinstance(batch, list | tuple):
        for part in batch:
            yield from _with_owners(part, num_samples)
    elif isinstance(batch, Mapping):
        for part in batch.values():
            yield from _with_owners(part, num_samples)
    else:
        yield from ((tensor, None) for _, tensor in named_tensors(batch, ""))


def _has_one_each(parts: Sequence[object], num_samples: int) -> bool:
    """A list with an element for each sample, all alike, and not a list of tensors that each have all rows."""
    if len(parts) != num_samples or num_samples <= _PAIR or hasattr(parts, "_fields") or len(set(map(type, parts))) > 1:
        return False
    tensors = [part for part in parts if isinstance(part, Tensor)]
    if len({(tensor.dtype, tensor.dim()) for tensor in tensors}) > 1:
        return False
    return not tensors or not all(tensor.shape[:1] == (num_samples,) for tensor in tensors)


def _owners_told(tensors: Sequence[Tensor], num_samples: int) -> Iterator[tuple[int, Tensor]]:
    """For a number of rows the sample that each row belongs to, as a tensor of whole numbers in the batch tells.

    It holds the sample of each row (of a graph batch: `batch`), how many rows each sample has, or where they begin.
    """
    for tensor in tensors:
        if tensor.is_nested or tensor.dim() != 1 or tensor.dtype not in {torch.int32, torch.int64} or not len(tensor):
            continue
        values = tensor.detach().cpu().long()
        rises = bool((values.diff() >= 0).all())
        if rises and len(values) == num_samples + 1 and int(values[0]) == 0:
            yield int(values[-1]), _by_ends(values)
        elif len(values) == num_samples and int(values.min()) >= 0:
            yield int(values.sum()), torch.repeat_interleave(torch.arange(num_samples, device="cpu"), values)
        elif rises and int(values[0]) == 0 and int(values[-1]) == num_samples - 1:
            yield len(values), values


def _by_ends(ends: Tensor) -> Tensor:
    """The sample of each row, from the rows where samples begin and the last one ends."""
    counts = ends.detach().cpu().long().diff()
    return torch.repeat_interleave(torch.arange(len(counts), device="cpu"), counts)
