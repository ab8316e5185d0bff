"""Total-count normalisation of count matrices, with a record of what was done to them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from evenkeel.core.errors import UsageError

_NUM_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CountNormalisation:
    """What makes normalised values of counts: keep it beside the data, and compare it before two sets are mixed."""

    target_sum: float
    base: float | None  # of the logarithm; None: natural
    steps: tuple[str, ...] = ("total-count", "log1p")

    def apply(self, counts: Tensor) -> Tensor:
        """log(1 + counts·target_sum / total of the row), as float32, or as float64 where counts are.

        Shape: (rows, columns). Error: 4 ulp. Cost: waits for the device (it has to look at values).

        Raises:
            UsageError: the counts are none: negative, not whole, not finite; or a row has a total of 0.
        """
        require_counts(counts)
        wide = counts.to(torch.float64)
        totals = wide.sum(-1, keepdim=True)
        _refuse_empty(totals.squeeze(-1))
        logs = torch.log1p(wide * (self.target_sum / totals)) / self._log_base
        return logs if counts.dtype == torch.float64 else logs.float()

    def undo(self, values: Tensor, totals: Tensor) -> Tensor:
        """The counts that `apply` made these values of, given the total of each row, (rows,) or (rows, 1).

        Not rounded to whole numbers. Error: 4 ulp in float64, and 1 ulp of `values` times their size: a float32 log of
        9 gives counts to about 6 digits. No host sync.
        """
        shares = torch.expm1(values.double() * self._log_base) / self.target_sum
        return (shares * totals.double().reshape(-1, 1)).to(values.dtype)

    @property
    def _log_base(self) -> float:
        return 1.0 if self.base is None else math.log(self.base)


def normalise_counts(
    counts: Tensor, target_sum: float = 1e4, base: float | None = None
) -> tuple[Tensor, CountNormalisation]:
    """Divide each row by its total, multiply by target_sum, take log(1 + x); and say so in a record.

    Shape: (rows, columns). Dtype: any; answers float32, or float64 for float64. Computes in float64.
    Edges: with the default, no value exceeds log(1 + 1e4) = 9.2104, which a row with a single positive column attains.
    Cost: four tensors of the counts' size in float64; waits for the device (it has to look at values).

    Raises:
        UsageError: target_sum or base make no sense, or as `CountNormalisation.apply`: above all, values that were
            normalised or log-transformed already.
    """
    if not (target_sum > 0 and math.isfinite(target_sum)):
        raise UsageError(f"target_sum is {target_sum}; it has to be a positive number")
    if base is not None and not (base > 1 and math.isfinite(base)):
        raise UsageError(f"base is {base}; the base of a logarithm has to be above 1, or None for the natural one")
    record = CountNormalisation(target_sum=target_sum, base=base)
    return record.apply(counts), record


def require_counts(counts: Tensor) -> None:
    """Refuse what is no matrix of counts. Cost: three passes, one wait for the device.

    Raises:
        UsageError: some are negative, not finite, or not whole, with how many there are, and what that hints at.
    """
    if not counts.is_floating_point():
        bad = [0, int((counts < 0).sum()), 0]
    else:
        whole = counts == counts.round()
        bad = torch.stack([(~counts.isfinite()).sum(), (counts < 0).sum(), (counts.isfinite() & ~whole).sum()]).tolist()
    num = counts.numel()
    if bad[0]:
        raise UsageError(f"{bad[0]:,} of {num:,} counts are nan or inf; mend or drop their rows first")
    if bad[1]:
        raise UsageError(f"{bad[1]:,} of {num:,} counts are negative: these look centred or scaled; pass raw counts")
    if bad[2]:
        raise UsageError(
            f"{bad[2]:,} of {num:,} counts are not whole, the largest value is {float(counts.max()):.6g}: these look "
            "normalised or log-transformed already; pass raw counts, or undo what was done with its record"
        )


def _refuse_empty(totals: Tensor) -> None:
    rows = (totals == 0).nonzero().flatten().tolist()
    if rows:
        named = ", ".join(map(str, rows[:_NUM_NAMED]))
        more = f" and {len(rows) - _NUM_NAMED} more" if len(rows) > _NUM_NAMED else ""
        raise UsageError(f"{len(rows)} of {len(totals)} rows have a total of 0: {named}{more}; drop them first")
