"""Ratios of times that were taken side by side, how far they can be trusted, and whether they keep a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

NUM_RESAMPLES = 2000
TAIL_PERCENT = 2.5  # on each side: the interval holds 95 %

Verdict = Literal["kept", "undecided", "over"]


@dataclass(frozen=True)
class Ratio:
    """The median over rounds of a time divided by another one of the same round."""

    middle: float
    low: float  # ends of the 95 % bootstrap interval of the median
    high: float
    overall: float  # sum over all rounds divided by the other sum: a cost that few rounds bear is in here too
    num_rounds: int


def paired_ratio(times: Sequence[float], beside: Sequence[float]) -> Ratio:
    """Compare times with those taken beside them, round by round.

    A shared machine slows down and speeds up for seconds at a time. Two neighbours in one round see nearly the same
    machine, so their ratio is steadier than either time.
    """
    if not times or len(times) != len(beside):
        raise ValueError(f"{len(times)} times beside {len(beside)}: give one of each for every round, and at least one")
    ratios = np.asarray(times) / np.asarray(beside)
    chosen = np.random.default_rng(0).integers(len(ratios), size=(NUM_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[chosen], axis=1), (TAIL_PERCENT, 100 - TAIL_PERCENT))
    return Ratio(float(np.median(ratios)), float(low), float(high), sum(times) / sum(beside), len(ratios))


def verdict(ratio: Ratio, twin: Ratio, budget: float) -> Verdict:
    """Whether a ratio keeps its budget.

    The noise is one side of the ratio's interval, or what divides two identical loops if that is more. "over" says that
    the budget is exceeded by more than the noise below; "kept", that it is not exceeded, and that the noise above is
    smaller than the whole allowance (a machine too noisy to show 1 % cannot vouch for 1 %).

    Args:
        ratio: of what is judged, to the bare loop.
        twin: of a second bare loop, to the bare loop.
        budget: the largest ratio allowed.
    """
    drift = abs(twin.middle - 1.0)
    if ratio.middle - budget > max(ratio.middle - ratio.low, drift):
        return "over"
    is_precise = max(ratio.high - ratio.middle, drift) <= budget - 1.0
    return "kept" if ratio.middle <= budget and is_precise else "undecided"
