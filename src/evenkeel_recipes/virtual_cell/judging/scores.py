"""How good a prediction of one condition is: its mean profile, its effect, its cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenkeel.metrics import Errors, Paired, Score, Spearman, TwoSamples, full_from_halves

TOP = 50  # genes that count as differentially expressed
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median distance of the measured cells
HIGHER_IS_BETTER = {
    "pearson_delta": True,
    "spearman_delta": True,
    "r2": True,
    "rmse": False,
    "mse": False,
    "mae": False,
    "de_overlap": True,
    "de_sign": True,
    "energy_distance": False,
    "mmd": False,
}
OF_EFFECTS = ("pearson_delta", "spearman_delta", "de_overlap", "de_sign")
OF_MEANS = ("r2", "rmse", "mse", "mae")

Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A condition as predicted or as measured.

    Attributes:
        mean: mean log1p counts per 10,000, float64 [genes].
        effect: the same minus that of controls, [genes].
        cells: single cells in these units [n, genes].
    """

    mean: Tensor
    effect: Tensor
    cells: Tensor


def scores(predicted: Seen, measured: Seen) -> Values:
    """Every score by its name; None where it is undefined (a constant prediction has no correlation)."""
    errors, pair = Errors.of(predicted.mean, measured.mean), Paired.of(predicted.mean, measured.mean)
    rmse = value_of(errors.rmse()[0])
    samples = TwoSamples.of(predicted.cells, measured.cells)
    scale = samples.median_distance()
    has_scale = scale.is_defined and scale.value > 0
    return {
        "pearson_delta": value_of(Paired.of(predicted.effect, measured.effect).pearson()[0]),
        "spearman_delta": value_of(Spearman.of(predicted.effect, measured.effect).score()),
        "r2": value_of(pair.explained()[0]),
        "rmse": rmse,
        "mse": None if rmse is None else rmse**2,
        "mae": value_of(errors.mae()[0]),
        **_of_top_genes(predicted.effect, measured.effect),
        "energy_distance": value_of(samples.energy()),
        "mmd": value_of(samples.mmd([b * scale.value for b in BANDWIDTHS])) if has_scale else None,
    }


def ceiling_of(metric: str, halves: float | None) -> float | None:
    """What the truth itself would score against all measured cells, from what halves of them score against one another.

    Each half has noise, all cells have half as much of it, and the truth has none. So a squared error between halves is
    four times that of the truth, and a correlation of halves becomes the root of its full-size reliability (Spearman
    and Brown, 1910). Distances of samples are 0 for the truth on average. None where halves say nothing about it.
    """
    if halves is None:
        return None
    known = {
        "r2": 1 - (1 - halves) / 4,
        "mse": halves / 4,
        "rmse": halves / 2,
        "mae": halves / 2,
        "energy_distance": 0.0,
        "mmd": 0.0,
    }
    if metric in {"pearson_delta", "spearman_delta"}:
        return math.sqrt(full_from_halves(halves)) if halves > 0 else None
    return known.get(metric)


def value_of(score: Score) -> float | None:
    """The number, or None."""
    return score.value if score.is_defined else None


def mean_of(values: list[Values], metric: str) -> float | None:
    """Mean over conditions; None unless every condition that could have the score has it.

    A condition whose effect drowns in noise has no score of effects for anybody, so it is left out beforehand.
    """
    found = [value[metric] for value in values]
    return float(np.mean([v for v in found if v is not None])) if found and None not in found else None


def _of_top_genes(predicted: Tensor, measured: Tensor) -> Values:
    top = min(TOP, len(measured))
    true, said = measured.abs().topk(top).indices, predicted.abs().topk(top).indices
    if not bool(predicted.any()):
        return {"de_overlap": None, "de_sign": None}
    agree = torch.sign(predicted[true]) == torch.sign(measured[true])
    return {"de_overlap": len(set(true.tolist()) & set(said.tolist())) / top, "de_sign": float(agree.double().mean())}
