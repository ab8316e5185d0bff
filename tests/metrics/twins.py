"""What each metric of `everything` is by definition: slow, over all data at once, in NumPy and exact fractions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from tests.metrics.everything import (
    BANDWIDTHS,
    FAR,
    GRID,
    LEAST_CEILING,
    NUM_CONDITIONS,
    NUM_GROUPS,
    NUM_SAMPLES,
    PRECISION,
    Data,
)


def references(whole: Data) -> dict[str, float]:
    """The value of each metric, under the names that `everything.values` uses."""
    return {
        **_poisson(whole),
        **_agreement(whole),
        **_errors(whole),
        **_images(whole),
        **_ranking(whole),
        **_distances(whole),
        **_effects(whole),
        "quantile": _quantile(whole.prediction[whole.mask], 0.9),
    }


def _poisson(whole: Data) -> dict[str, float]:
    bits, deviances, explained, calibrations = [], [], [], []
    gain = spikes_of_all = 0.0
    for cell in range(NUM_GROUPS):
        y, r = whole.counts[whole.mask[:, cell], cell], whole.rates[whole.mask[:, cell], cell]
        fit = math.fsum((k * math.log(v) if k else 0.0) - v for k, v in zip(y, r, strict=True))
        spikes = math.fsum(y)
        null = spikes * math.log(spikes / len(y)) - spikes if spikes else 0.0
        gain += fit - null
        spikes_of_all += spikes
        deviance = [2 * ((k * math.log(k / v) if k else 0.0) - (k - v)) for k, v in zip(y, r, strict=True)]
        deviances.append(math.fsum(deviance) / len(y))
        calibrations.append(spikes / math.fsum(r))
        if spikes:
            bits.append((fit - null) / (spikes * math.log(2)))
            at_null = [2 * ((k * math.log(k * len(y) / spikes) if k else 0.0) - (k - spikes / len(y))) for k in y]
            explained.append(1 - math.fsum(deviance) / math.fsum(at_null))
    return {
        "bits per spike, mean": math.fsum(bits) / len(bits),
        "bits per spike, median": float(np.median(bits)),
        "bits per spike, pooled": gain / (spikes_of_all * math.log(2)),
        "bits per spike, below 0": sum(b < 0 for b in bits) / len(bits),
        "deviance": math.fsum(deviances) / len(deviances),
        "deviance explained": math.fsum(explained) / len(explained),
        "calibration": math.fsum(calibrations) / len(calibrations),
    }


def _agreement(whole: Data) -> dict[str, float]:
    x, y, m = whole.prediction, whole.target, whole.mask
    groups = [(x[m[:, g], g], y[m[:, g], g]) for g in range(NUM_GROUPS)]
    far = [(a + FAR, b + FAR) for a, b in groups]
    moments = y[m] + 100.0
    return {
        "pearson, mean": float(np.mean([pearson(*g) for g in groups])),
        "pearson, pooled": pearson(x[m], y[m]),
        "concordance, mean": float(np.mean([concordance(*g) for g in groups])),
        "concordance, pooled": concordance(x[m], y[m]),
        "R2, pooled": explained(x[m], y[m]),
        "far pearson": pearson(*far[0]),
        "far concordance": concordance(x[m] + FAR, y[m] + FAR),
        "far R2": explained(x[m] + FAR, y[m] + FAR),
        "mean": float(sum(map(Fraction, moments)) / len(moments)),
        "variance": float(_product(moments, moments) / (len(moments) - 1)),
    }


def _product(x: np.ndarray, y: np.ndarray) -> Fraction:
    """The exact sum of products about the means."""
    a, b = [Fraction(float(v)) for v in x], [Fraction(float(v)) for v in y]
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return sum(((p - mean_a) * (q - mean_b) for p, q in zip(a, b, strict=True)), Fraction(0))


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """By exact sums."""
    return float(_product(x, y)) / math.sqrt(_product(x, x)) / math.sqrt(_product(y, y))


def concordance(x: np.ndarray, y: np.ndarray) -> float:
    """By exact sums."""
    apart = sum(map(Fraction, map(float, x))) - sum(map(Fraction, map(float, y)))
    return float(2 * _product(x, y) / (_product(x, x) + _product(y, y) + apart * apart / len(x)))


def explained(x: np.ndarray, y: np.ndarray) -> float:
    """By exact sums."""
    wrong = sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for a, b in zip(x, y, strict=True))
    return float(1 - wrong / _product(y, y))


def _errors(whole: Data) -> dict[str, float]:
    m = whole.mask
    e, base = (whole.prediction - whole.target)[m], (0.25 - whole.target)[m]
    skills = []
    for g in range(NUM_GROUPS):
        own, other = ((p - whole.target[:, g])[m[:, g]] for p in (whole.prediction[:, g], 0.25))
        skills.append(1 - math.sqrt(np.mean(own**2)) / math.sqrt(np.mean(other**2)))
    return {
        "MAE": math.fsum(abs(e)) / len(e),
        "RMSE": math.sqrt(math.fsum(e**2) / len(e)),
        "bias": math.fsum(e) / len(e),
        "MAE skill": 1 - math.fsum(abs(e)) / math.fsum(abs(base)),
        "RMSE skill": float(np.mean(skills)),
        "masked mean": math.fsum(abs(whole.prediction[m])) / m.sum(),
        "ratio": math.fsum(whole.counts[m]) / math.fsum(whole.rates[m]),
    }


def _images(whole: Data) -> dict[str, float]:
    nmse, rmse, psnr, ssim = [], [], [], []
    for p, t, m in zip(whole.images, whole.image_targets, whole.image_mask, strict=True):
        e, truth = (p - t)[m], t[m]
        if truth.any():
            nmse.append(math.fsum(e**2) / math.fsum(truth**2))
        mse = math.fsum(e**2) / len(e)
        rmse.append(math.sqrt(mse))
        psnr.append(-10 * math.log10(mse))
        ssim.append(similarity(p[0], t[0], m[0]))
    e = (whole.images - whole.image_targets)[whole.image_mask]
    square, energy = math.fsum(e**2), math.fsum(whole.image_targets[whole.image_mask] ** 2)
    return {
        "NMSE of images": math.fsum(nmse) / len(nmse),
        "RMSE of images": math.fsum(rmse) / len(rmse),
        "PSNR of images": math.fsum(psnr) / len(psnr),
        "NMSE of the set": square / energy,
        "RMSE of the set": math.sqrt(square / len(e)),
        "PSNR of the set": -10 * math.log10(square / len(e)),
        "SSIM": math.fsum(ssim) / len(ssim),
    }


def similarity(p: np.ndarray, t: np.ndarray, mask: np.ndarray, size: int = 11, sigma: float = 1.5) -> float:
    """SSIM of one image of range 1, window by window."""
    at = np.arange(size) - size // 2
    line = np.exp(-(at**2) / (2 * sigma**2))
    weights = np.outer(line, line) / np.outer(line, line).sum()
    found = []
    for i, j in itertools.product(range(p.shape[0] - size + 1), range(p.shape[1] - size + 1)):
        if not mask[i + size // 2, j + size // 2]:
            continue
        a, b = p[i : i + size, j : j + size], t[i : i + size, j : j + size]
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
        cov = (weights * (a - mean_a) * (b - mean_b)).sum()
        light = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
        found.append(light * (2 * cov + 9e-4) / (var_a + var_b + 9e-4))
    return math.fsum(found) / len(found)


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Over all pairs."""
    pairs = [(a > b) + (a == b) / 2 for a in scores[labels == 1] for b in scores[labels == 0]]
    return math.fsum(pairs) / len(pairs)


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    return np.array([(values < v).sum() + ((values == v).sum() + 1) / 2 for v in values])


def _ranking(whole: Data) -> dict[str, float]:
    m = whole.mask[:, 0]
    edges = [GRID.low + (GRID.high - GRID.low) * n / GRID.num_cells for n in range(1, GRID.num_cells)]
    cells = np.array([sum(s >= edge for edge in edges) for s in whole.scores])
    return {
        "AUROC on a grid": auroc(cells, whole.labels),
        "AUROC": auroc(whole.scores[m], whole.labels[m]),
        "Spearman": pearson(_mean_ranks(whole.scores[m]), _mean_ranks(whole.prediction[m, 0])),
    }


def two_samples(x: np.ndarray, y: np.ndarray, kernel: Callable[[float], float]) -> float:
    """E k(x, x') + E k(y, y') - 2 E k(x, y) over different samples, pair by pair."""

    def mean(a: np.ndarray, b: np.ndarray, left_out: int) -> float:
        pairs = [
            kernel(math.dist(p, q)) for i, p in enumerate(a) for j, q in enumerate(b) if left_out * (i + 1) != j + 1
        ]
        return math.fsum(pairs) / len(pairs)

    return mean(x, x, 1) + mean(y, y, 1) - 2 * mean(x, y, 0)


def _distances(whole: Data) -> dict[str, float]:
    x, y = whole.features, whole.real_features

    def gaussian(d: float) -> float:
        return math.fsum(math.exp(-d * d / (2 * s * s)) for s in BANDWIDTHS) / len(BANDWIDTHS)

    apart = sorted(math.dist(a, b) for a, b in itertools.combinations(y, 2))
    return {
        "energy distance": -two_samples(x, y, lambda d: d),
        "MMD": two_samples(x, y, gaussian),
        "median distance": apart[len(apart) // 2],
    }


def murmur_half(number: int) -> int:
    """The last bit of MurmurHash3's finaliser, in unsigned 64-bit arithmetic."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        number = ((number ^ (number >> 33)) * factor) % 2**64
    return (number ^ (number >> 33)) & 1


def _effects(whole: Data) -> dict[str, float]:
    half = np.array([murmur_half(n) for n in range(NUM_SAMPLES)])
    control = whole.kind == 0
    found, ceilings = [], []
    for c in range(NUM_CONDITIONS):
        measured, predicted = ((whole.kind == k) & (whole.condition == c) for k in (1, 2))
        halves = [
            whole.cells[measured & (half == h)].mean(0) - whole.cells[control & (half == h)].mean(0) for h in (0, 1)
        ]
        ceilings.append(pearson(*halves))
        if ceilings[-1] >= LEAST_CEILING:
            zero = whole.cells[control].mean(0)
            found.append(pearson(whole.cells[predicted].mean(0) - zero, whole.cells[measured].mean(0) - zero))
    return {"Pearson of effects": float(np.mean(found)), "ceiling of effects": float(np.mean(ceilings))}


def _quantile(values: np.ndarray, share: float) -> float:
    """The middle of the bucket that holds the exact quantile, found by walking up the buckets."""
    exact = sorted(values)[math.floor(share * (len(values) - 1))]
    growth = (1 + PRECISION.relative_error) / (1 - PRECISION.relative_error)
    upper = PRECISION.smallest
    while upper < exact:
        upper *= growth
    assert abs(2 * upper / (1 + growth) - exact) <= PRECISION.relative_error * exact
    return 2 * upper / (1 + growth)
