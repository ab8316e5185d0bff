"""All metrics at once over one small data set, any part of it, in any order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from evenkeel.metrics import (
    Auroc,
    DataRange,
    Errors,
    GridAuroc,
    ImageErrors,
    MaskedMean,
    Moments,
    Paired,
    PearsonDelta,
    PoissonFit,
    Precision,
    QuantileSketch,
    Ratio,
    ScoreGrid,
    Similarity,
    Spearman,
    Statistics,
    TwoSamples,
    half_of,
)

NUM_SAMPLES, NUM_GROUPS, NUM_CONDITIONS, NUM_GENES, SIDE = 240, 5, 3, 12, 14
SHARE_MASKED = 0.4
FAR = 3e4  # how far the targets of `far` lie from 0, for a spread of 1
BANDWIDTHS = (0.5, 2.0)
LEAST_CEILING = 0.1
UNIT = DataRange(0.0, 1.0)
GRID = ScoreGrid(0.0, 1.0, 50)
PRECISION = Precision(0.01, 1e-6, 1e6)


@dataclass(frozen=True, slots=True, eq=False)
class Everything(Statistics):
    """What one epoch of many metrics holds."""

    poisson: PoissonFit
    paired: Paired
    far: Paired
    errors: Errors
    baseline: Errors
    mean: MaskedMean
    ratio: Ratio
    moments: Moments
    images: ImageErrors
    similarity: Similarity
    grid: GridAuroc
    auroc: Auroc
    spearman: Spearman
    samples: TwoSamples
    delta: PearsonDelta
    quantiles: QuantileSketch


@dataclass(frozen=True)
class Data:
    """Float64 and bool arrays whose rows are samples."""

    rates: np.ndarray
    counts: np.ndarray
    mask: np.ndarray
    prediction: np.ndarray
    target: np.ndarray
    images: np.ndarray
    image_targets: np.ndarray
    image_mask: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    real_features: np.ndarray
    kind: np.ndarray  # 0 control, 1 measured, 2 predicted
    condition: np.ndarray
    cells: np.ndarray


def data(seed: int = 0) -> Data:
    """One data set. The last cell is silent, and the one before is nearly always masked."""
    random = np.random.default_rng(seed)
    shape = (NUM_SAMPLES, NUM_GROUPS)
    true_rates = random.lognormal(-1.0, 0.7, shape)
    counts = random.poisson(true_rates).astype(float)
    counts[:, -1] = 0.0
    mask = random.random(shape) >= SHARE_MASKED
    mask[: NUM_SAMPLES - 4, -2] = False
    mask[-4:, -2], counts[-2, -2] = True, 2.0
    target = random.normal(size=shape)
    pictures = random.random((NUM_SAMPLES, 1, SIDE, SIDE))
    pictures[7] = 0.0  # a dark image has no NMSE
    labels = (random.random(NUM_SAMPLES) < 0.3).astype(float)
    condition = random.integers(0, NUM_CONDITIONS, NUM_SAMPLES)
    effects = random.normal(size=(NUM_CONDITIONS, NUM_GENES))
    kind = random.integers(0, 3, NUM_SAMPLES)
    cells = random.normal(size=(NUM_SAMPLES, NUM_GENES)) + effects[condition] * (kind != 0)[:, None]
    noise = random.normal(size=pictures.shape)
    return Data(
        rates=true_rates * random.lognormal(0.0, 0.3, shape),
        counts=counts,
        mask=mask,
        prediction=0.7 * target + 0.5 * random.normal(size=shape) + 0.1,
        target=target,
        images=pictures + 0.05 * noise,
        image_targets=pictures,
        image_mask=random.random(pictures.shape) >= SHARE_MASKED,
        scores=np.round(np.clip(random.random(NUM_SAMPLES) + 0.2 * labels, 0.0, 1.0), 2),  # some are equal
        labels=labels,
        features=random.normal(size=(NUM_SAMPLES, 3)),
        real_features=random.normal(size=(NUM_SAMPLES, 3)) * 1.5,
        kind=kind,
        condition=condition,
        cells=cells,
    )


def empty() -> Everything:
    """What a rank without data has."""
    return Everything(
        poisson=PoissonFit.empty(NUM_GROUPS),
        paired=Paired.empty(NUM_GROUPS),
        far=Paired.empty(NUM_GROUPS),
        errors=Errors.empty(NUM_GROUPS),
        baseline=Errors.empty(NUM_GROUPS),
        mean=MaskedMean.empty(NUM_GROUPS),
        ratio=Ratio.empty(NUM_GROUPS),
        moments=Moments.empty(NUM_GROUPS),
        images=ImageErrors.empty(UNIT),
        similarity=Similarity.empty(UNIT),
        grid=GridAuroc.empty(GRID),
        auroc=Auroc.empty(),
        spearman=Spearman.empty(),
        samples=TwoSamples.empty(3),
        delta=PearsonDelta.empty(NUM_CONDITIONS, NUM_GENES, LEAST_CEILING),
        quantiles=QuantileSketch.empty(PRECISION),
    )


def of(whole: Data, rows: np.ndarray) -> Everything:
    """The statistics of one batch: these rows of the data."""

    def part(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array[rows]))

    mask, prediction, target = part(whole.mask), part(whole.prediction), part(whole.target)
    images, truth, seen = part(whole.images), part(whole.image_targets), part(whole.image_mask)
    return Everything(
        poisson=PoissonFit.of(part(whole.rates), part(whole.counts), mask),
        paired=Paired.of(prediction, target, mask),
        far=Paired.of(prediction + FAR, target + FAR, mask),
        errors=Errors.of(prediction, target, mask),
        baseline=Errors.of(torch.full_like(target, 0.25), target, mask),
        mean=MaskedMean.of(prediction.abs(), mask),
        ratio=Ratio.of(part(whole.counts), part(whole.rates), mask),
        moments=Moments.of(target + 100.0, mask),
        images=ImageErrors.of(images, truth, UNIT, seen),
        similarity=Similarity.of(images, truth, UNIT, seen),
        grid=GridAuroc.of(part(whole.scores), part(whole.labels), GRID),
        auroc=Auroc.of(part(whole.scores), part(whole.labels), mask[:, 0]),
        spearman=Spearman.of(part(whole.scores), prediction[:, 0], mask[:, 0]),
        samples=TwoSamples.of(part(whole.features), part(whole.real_features)),
        delta=_delta(whole, rows),
        quantiles=QuantileSketch.of(prediction, PRECISION, mask),
    )


def _delta(whole: Data, rows: np.ndarray) -> PearsonDelta:
    cells, condition, kind = (torch.from_numpy(a[rows]) for a in (whole.cells, whole.condition, whole.kind))
    half = half_of(torch.from_numpy(np.arange(NUM_SAMPLES)[rows]))
    return (
        empty()
        .delta.with_control(cells[kind == 0], half[kind == 0])
        .with_measured(cells[kind == 1], condition[kind == 1], half[kind == 1])
        .with_predicted(cells[kind == 2], condition[kind == 2])
    )


def values(found: Everything) -> dict[str, float]:
    """The value of each metric."""
    scores = {
        "bits per spike, mean": found.poisson.bits_per_spike().mean(),
        "bits per spike, median": found.poisson.bits_per_spike().median(),
        "bits per spike, pooled": found.poisson.score(),
        "bits per spike, below 0": found.poisson.bits_per_spike().share_below(0.0),
        "deviance": found.poisson.deviance_per_bin().mean(),
        "deviance explained": found.poisson.deviance_explained().mean(),
        "calibration": found.poisson.calibration().mean(),
        "pearson, mean": found.paired.pearson().mean(),
        "pearson, pooled": found.paired.pooled().pearson()[0],
        "concordance, mean": found.paired.concordance().mean(),
        "concordance, pooled": found.paired.score(),
        "R2, pooled": found.paired.pooled().explained()[0],
        "far pearson": found.far.pearson()[0],
        "far concordance": found.far.score(),
        "far R2": found.far.pooled().explained()[0],
        "MAE": found.errors.score(),
        "RMSE": found.errors.pooled().rmse()[0],
        "bias": found.errors.pooled().bias()[0],
        "MAE skill": found.errors.pooled().mae_skill(found.baseline.pooled())[0],
        "RMSE skill": found.errors.rmse_skill(found.baseline).mean(),
        "masked mean": found.mean.score(),
        "ratio": found.ratio.score(),
        "mean": found.moments.score(),
        "variance": found.moments.pooled().variance()[0],
        "NMSE of images": found.images.image_nmse(),
        "RMSE of images": found.images.image_rmse(),
        "PSNR of images": found.images.image_psnr(),
        "NMSE of the set": found.images.set_nmse(),
        "RMSE of the set": found.images.set_rmse(),
        "PSNR of the set": found.images.set_psnr(),
        "SSIM": found.similarity.score(),
        "AUROC on a grid": found.grid.score(),
        "AUROC": found.auroc.score(),
        "Spearman": found.spearman.score(),
        "energy distance": found.samples.energy(),
        "MMD": found.samples.mmd(BANDWIDTHS),
        "median distance": found.samples.median_distance(),
        "Pearson of effects": found.delta.score(),
        "ceiling of effects": found.delta.ceiling().mean(),
        "quantile": found.quantiles.quantile(0.9),
    }
    return {name: score.value for name, score in scores.items()}


def merged(whole: Data, batches: list[np.ndarray]) -> Everything:
    """The statistics of all batches, one after the other."""
    result = empty()
    for rows in batches:
        result = result.merge(of(whole, rows))
    return result
