"""What a batch brings: columns of equal shape, and who of them counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError
from evenkeel.metrics.score import Scores
from evenkeel.metrics.statistics import Statistics
from evenkeel.tensors.wide import Wide

_MOST_DIMENSIONS = 2


@dataclass(frozen=True, slots=True, eq=False)
class Population(Statistics):
    """Elements of each group [G]: counted, left out by the mask, and among the counted those that are no use."""

    counted: Wide
    masked: Wide
    bad: Wide

    @classmethod
    def empty(cls, num_groups: int, device: torch.device | str = "cpu") -> Population:
        """Nobody yet."""
        return cls(*(Wide.zeros(num_groups, device=device) for _ in range(3)))

    @classmethod
    def of(cls, mask: Tensor, usable: Tensor) -> Population:
        """Count from `mask` and `usable`, both bool [B, G]."""
        return cls(summed(mask), summed(~mask), summed(mask & ~usable))

    def pooled(self) -> Population:
        """All groups as one."""
        return Population(*(whole(part) for part in (self.counted, self.masked, self.bad)))

    def scores(self, values: Tensor, lacking: Tensor, why: str, unit: str, groups: str = "groups") -> Scores:
        """Scores [G]; those that are `lacking` by definition become NaN, unless bad elements are the cause. One sync.

        Groups with bad elements count as having a value, so that they are not left out of a mean.
        """
        bad = self.bad.high > 0
        lacking = lacking & ~bad
        return Scores(
            values=torch.where(lacking, torch.nan, values).cpu(),
            lacking=lacking.cpu(),
            counted=self.counted.high.long().cpu(),
            masked=self.masked.high.long().cpu(),
            bad=self.bad.high.long().cpu(),
            why=why,
            unit=unit,
            groups=groups,
        )


def columns(mask: Tensor | None, *given: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Mask and tensors as [B, G], the tensors in float64 and without graph.

    Args:
        mask: bool, of the same shape as the tensors; None for all.
        given: of shape [B] (one group) or [B, G], all of one shape.

    Raises:
        UsageError: shapes or dtypes that do not fit.
    """
    shape = given[0].shape
    if not 1 <= len(shape) <= _MOST_DIMENSIONS or any(tensor.shape != shape for tensor in given):
        raise UsageError(
            f"a metric takes tensors of one shape, [samples] or [samples, groups]; these are "
            f"{', '.join(str(list(tensor.shape)) for tensor in given)}. Flatten what is to be one group"
        )
    if any(tensor.is_complex() for tensor in given):
        raise UsageError("a metric takes real numbers; give real and imaginary parts as groups")
    everyone = torch.ones(shape, dtype=torch.bool, device=given[0].device) if mask is None else mask
    check_mask(everyone, shape)
    rows = shape if len(shape) == _MOST_DIMENSIONS else (*shape, 1)
    return everyone.reshape(rows), tuple(t.detach().to(torch.float64).reshape(rows) for t in given)


def check_mask(mask: Tensor, shape: torch.Size) -> None:
    """Refuse a mask that says for another number of elements which of them count.

    Raises:
        UsageError: another shape, or not bool. A mask [B, 1] is not spread over cells in silence.
    """
    if mask.dtype != torch.bool or mask.shape != shape:
        raise UsageError(
            f"the mask is {mask.dtype} of shape {list(mask.shape)}; it has to be torch.bool of shape {list(shape)}. "
            "Expand it to the shape of the data where it holds for all groups"
        )


def kept(mask: Tensor, values: Tensor) -> Tensor:
    """The values that count, and 0, which adds nothing, elsewhere; a NaN behind the mask is not read."""
    return torch.where(mask, values, 0.0)


def summed(values: Tensor) -> Wide:
    """Sums over the samples of one batch: [B, G] becomes [G]."""
    return Wide.of(values.to(torch.float64).sum(0))


def whole(part: Wide) -> Wide:
    """The sum over groups as one group: [G] becomes [1]."""
    return part.total().reshape([1])
