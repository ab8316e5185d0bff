"""Read what came before the failing step, and what entered it: losses, weights, batches."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from evenkeel.core.case import Case
from evenkeel.core.operation import Leaf, LeafKind

FEW_STEPS = 3
LARGE_BATCH = 1e3  # inputs of a network that nobody has scaled
CLEAR_GROWTH = 10.0
UNSCALED = 20.0  # standardised inputs stay below
EARLY_PEAK = 5.0  # initial weights lie near or below 1; embeddings reach about 4


def largest(case: Case, kind: LeafKind) -> Leaf | None:
    """The float tensor of a kind with the largest finite magnitude, among those that entered the step."""
    floats = [leaf for leaf in case.leaves if leaf.kind == kind and "float" in leaf.stats.dtype]
    return max(floats, key=lambda leaf: leaf.stats.magnitude, default=None)


def growth(values: Sequence[float]) -> float:
    """How many times the last value exceeds what was usual; 1 when there is too little to compare.

    A series that only rises is compared with its first value, any other with its median: one lucky small
    value at the beginning of a noisy series is no growth.
    """
    sizes = [abs(value) for value in values if math.isfinite(value)]
    if len(sizes) < 2:  # noqa: PLR2004 - one value cannot have grown
        return 1.0
    rises = all(before < after for before, after in itertools.pairwise(sizes))
    usual = sizes[0] if rises else statistics.median(sizes)
    return sizes[-1] / usual if usual > 0.0 else 1.0


def weight_jump(case: Case) -> float | None:
    """The largest weight, if the first few steps on unscaled inputs drove it where no initialisation puts it."""
    parameter, batch = largest(case, "parameter"), largest(case, "batch")
    if not 0 < case.step <= FEW_STEPS or parameter is None or parameter.stats.magnitude < EARLY_PEAK:
        return None
    if batch is None or batch.stats.magnitude < UNSCALED:
        return None
    return parameter.stats.magnitude
