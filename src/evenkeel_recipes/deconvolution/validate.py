"""Whether samples can be trained on: the first thing that is wrong is named with its file, row and gene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.data import Reference
from evenkeel_recipes.deconvolution.mixtures import TARGET_SUM
from evenkeel_recipes.kit.refusal import Refused

HIGHEST = float(np.log1p(TARGET_SUM)) + 1e-4


def validate(path: Path, view: NDArray[np.float32], fractions: NDArray[np.float64], reference: Reference) -> None:
    """Samples and proportions that can be trained on.

    Raises:
        Refused: the first thing that is wrong, with file, row and gene.
    """
    if view.shape[1] != len(reference.genes) or fractions.shape != (len(view), len(reference.types)):
        raise Refused(
            f"{path}: samples {view.shape} and proportions {fractions.shape} do not go with {len(reference.genes)} "
            f"genes and {len(reference.types)} types"
        )
    checks = (
        (~np.isfinite(view), "are not finite"),
        (view < 0, "are negative"),
        (view > HIGHEST, f"are above {HIGHEST:.4f}, the highest log1p of counts per ten thousand: not normalised?"),
    )
    for bad, what in checks:
        if bad.any():
            row, gene = np.argwhere(bad)[0]
            raise Refused(
                f"{path}: {int(bad.sum())} values {what}, the first in row {row}, gene {reference.genes[gene]}"
            )
    empty = np.flatnonzero(view.max(1) == 0)
    if len(empty):
        raise Refused(f"{path}: {len(empty)} samples have no count at all, the first is row {empty[0]}")
    off = ~np.isfinite(fractions).all(1) | (fractions < 0).any(1) | (np.abs(fractions.sum(1) - 1) > 1e-6)  # noqa: PLR2004
    if off.any():
        raise Refused(
            f"{path}: the proportions of {int(off.sum())} samples are no proportions, the first is row {np.argmax(off)}"
        )
