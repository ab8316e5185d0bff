"""Metrics that are the same on 1 and on 1,000 ranks: statistics that merge, and closed forms over them."""

from __future__ import annotations

from evenkeel.metrics.delta import PearsonDelta, full_from_halves, half_of
from evenkeel.metrics.distances import TwoSamples
from evenkeel.metrics.epoch import reduced
from evenkeel.metrics.errors import Errors
from evenkeel.metrics.images import DataRange, ImageErrors
from evenkeel.metrics.masked import MaskedMean, Ratio
from evenkeel.metrics.moments import Moments
from evenkeel.metrics.paired import Paired
from evenkeel.metrics.poisson import PoissonFit
from evenkeel.metrics.quantiles import Precision, QuantileSketch
from evenkeel.metrics.ranking import Auroc, GridAuroc, ScoreGrid, Spearman
from evenkeel.metrics.score import Score, Scores
from evenkeel.metrics.ssim import Similarity, Window
from evenkeel.metrics.statistics import Scored, Statistics

__all__ = [
    "Auroc",
    "DataRange",
    "Errors",
    "GridAuroc",
    "ImageErrors",
    "MaskedMean",
    "Moments",
    "Paired",
    "PearsonDelta",
    "PoissonFit",
    "Precision",
    "QuantileSketch",
    "Ratio",
    "Score",
    "ScoreGrid",
    "Scored",
    "Scores",
    "Similarity",
    "Spearman",
    "Statistics",
    "TwoSamples",
    "Window",
    "full_from_halves",
    "half_of",
    "reduced",
]
