"""All statistics of an epoch over all ranks: a word about what comes, then one sum, or one gathering where needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from evenkeel.core.errors import EvenkeelError
from evenkeel.dist.digits import MAX_RANKS, Span, digits, number_of
from evenkeel.tensors.wide import Wide


class RanksDiffer(EvenkeelError):
    """The ranks did not bring the same statistics, or one of them had none to bring; raised on all of them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parcel:
    """What one rank brings.

    Args:
        layout: what the numbers mean, in words; the same on all ranks.
        sums: shape [k], the same k on all ranks; added.
        rows: float64 of shape [m], any m; gathered.
    """

    layout: str
    sums: Wide
    rows: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Delivered:
    """The same on all ranks, to the bit: the sums over all of them, and what each brought, by rank."""

    sums: Wide
    rows: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """What a rank says before it sends: 40 bytes."""

    layout: int
    num_sums: int
    num_rows: int
    top: int
    bottom: int

    @classmethod
    def of(cls, parcel: Parcel) -> Label:
        """Describe a parcel. One host sync."""
        said = hashlib.blake2b(parcel.layout.encode(), digest_size=7).digest()
        span = Span.of(parcel.sums)
        return cls(int.from_bytes(said, "big"), len(parcel.sums.high), parcel.rows.numel(), span.top, span.bottom)

    @property
    def span(self) -> Span:
        """Of the sums."""
        return Span(self.top, self.bottom)


_DECLINED = Label(-1, 0, 0, 0, 0)


def reduce(own: Parcel, group: dist.ProcessGroup | None = None) -> Delivered:
    """Add the sums of all ranks and gather their rows; a program that trains alone gets its own back.

    Each rank of the group has to call this at the same point of its program, with or without data: sums of zeros and no
    rows are what a rank without data brings.

    Args:
        own: what this rank brings, on any device.
        group: over which ranks; default: all.

    Returns:
        Sums and rows on the device they came on, the same bits on each rank. For any division of the same samples among
        ranks, the sums are the same to 2^-100 of the largest partial sum.

    Raises:
        RanksDiffer: another rank brought other statistics, or declined. Raised on all ranks, so that nobody waits.
        EvenkeelError: more than 8,192 ranks.

    Cost: one all_gather of 40 bytes; one all_reduce of 24 to 48 bytes a sum as a rule, whatever the number of ranks
    (numbers of very different size take more digits; 416 at most); and only where a rank brings rows, one all_gather,
    whose memory is that of the longest parcel times the number of ranks. One host sync before the first.
    """
    if not _has_others(group):
        return Delivered(own.sums, (own.rows,))
    labels = _labels(Label.of(own), group)
    _check(labels)
    return Delivered(_summed(own.sums, labels, group), _gathered(own.rows, labels, group))


def decline(group: dist.ProcessGroup | None = None) -> None:
    """Take the place of `reduce` on a rank that failed and has nothing to bring; the others raise RanksDiffer.

    Example:
        try:
            statistics = evaluate(model)
        except Exception:
            decline()    # else the others would wait for this rank
            raise

    Cost: one all_gather of 40 bytes.
    """
    if _has_others(group):
        _labels(_DECLINED, group)


def _has_others(group: dist.ProcessGroup | None) -> bool:
    """In a "fake" group all ranks but this one are made up, and bring nothing."""
    if not (dist.is_available() and dist.is_initialized()):
        return False
    size = dist.get_world_size(group)
    if size > MAX_RANKS:
        raise EvenkeelError(
            f"{size:,} ranks cannot be summed exactly; {MAX_RANKS:,} can: reduce in smaller groups first"
        )
    return size > 1 and dist.get_backend(group) != "fake"


def _labels(own: Label, group: dist.ProcessGroup | None) -> list[Label]:
    values = [own.layout, own.num_sums, own.num_rows, own.top, own.bottom]
    mine = torch.tensor(values, dtype=torch.int64, device=_way(group))
    all_of_them = [torch.empty_like(mine) for _ in range(dist.get_world_size(group))]
    dist.all_gather(all_of_them, mine, group=group)
    return [Label(*row) for row in torch.stack(all_of_them).tolist()]


def _check(labels: list[Label]) -> None:
    declined = [rank for rank, label in enumerate(labels) if label == _DECLINED]
    if declined:
        raise RanksDiffer(
            f"rank {declined[0]} failed before it could bring its statistics, so there is no value for the whole; "
            "look for the first error in its output"
        )
    first = labels[0]
    for rank, label in enumerate(labels):
        if (label.layout, label.num_sums) != (first.layout, first.num_sums):
            raise RanksDiffer(
                f"rank {rank} brings other statistics than rank 0 ({label.num_sums:,} sums and {first.num_sums:,}); "
                "make them on all ranks with the same classes, numbers of groups and settings, also where there is no "
                "data"
            )


def _summed(own: Wide, labels: list[Label], group: dist.ProcessGroup | None) -> Wide:
    if labels[0].num_sums == 0:
        return own
    span = Span()
    for label in labels:
        span = span.joined(label.span)
    written = digits(own, span).to(_way(group))
    dist.all_reduce(written, group=group)
    return number_of(written.to(own.high.device), span)


def _gathered(own: Tensor, labels: list[Label], group: dist.ProcessGroup | None) -> tuple[Tensor, ...]:
    longest = max(label.num_rows for label in labels)
    if longest == 0:
        return tuple(own for _ in labels)
    mine = torch.zeros(longest, dtype=torch.float64, device=_way(group))
    mine[: own.numel()] = own
    parts = [torch.empty_like(mine) for _ in labels]
    dist.all_gather(parts, mine, group=group)
    return tuple(part[: label.num_rows].to(own.device) for part, label in zip(parts, labels, strict=True))


def _way(group: dist.ProcessGroup | None) -> torch.device:
    """Where tensors have to lie for this group to take them."""
    said = dist.get_backend_config(group)
    if "cpu" in said:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
