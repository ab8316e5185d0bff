"""Shows as numbers what biased metrics made of the five systems that stand behind this project.

    python bench/biases.py [--write]

Each row measures the same predictions twice: as it was done, and over all the data with its population. With --write
the table goes into docs/metrics.md. All data are drawn from fixed seeds; a test compares the page with this script.
"""

from __future__ import annotations

import argparse
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evenkeel.metrics import (
    Auroc,
    DataRange,
    Errors,
    ImageErrors,
    MaskedMean,
    Paired,
    PearsonDelta,
    PoissonFit,
    Similarity,
    TwoSamples,
    half_of,
)

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
BEGIN, END = "<!-- written by bench/biases.py -->", "<!-- end -->"
UNIT = DataRange(0.0, 1.0)


@dataclass(frozen=True)
class Row:
    """One bias."""

    system: str
    metric: str
    done: str
    gave: str
    right: str
    why: str


def number(value: float) -> str:
    """Three digits behind the point, or as few as it takes for large ones."""
    if not math.isfinite(value):
        return "undefined" if math.isnan(value) else str(value)
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.2g}"


def mean(values: list[float]) -> float:
    """As it was done: over whatever is there."""
    return float(np.mean(values))


def drawn(seed: int) -> np.random.Generator:
    """A stream of its own for each row, so that rows do not move one another."""
    return np.random.default_rng(seed)


def tensor(array: np.ndarray) -> Tensor:
    """Float64."""
    return torch.from_numpy(np.ascontiguousarray(array))


# ------------------------------------------------------------------------------------------- neural population


def spikes(num_samples: int) -> tuple[Tensor, Tensor, Tensor]:
    """60 cells, log-normal rates, masks in which some cells are hardly ever valid; predictions are the true rates."""
    random = drawn(num_samples)
    base = random.lognormal(math.log(0.08), 1.0, 60)
    rates = base * random.lognormal(-0.18, 0.6, (num_samples, 60))
    counts = random.poisson(rates).astype(float)
    mask = random.random((num_samples, 60)) < random.beta(0.6, 0.6, 60)
    return tensor(rates), tensor(counts), tensor(mask)


def by_rank(num_ranks: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """What each rank sees: samples in turn."""
    for rank in range(num_ranks):
        yield tuple(part[rank::num_ranks] for part in tensors)


def per_rank_bits(num_ranks: int, rates: Tensor, counts: Tensor, mask: Tensor) -> Tensor:
    """Bits per spike of each rank by itself, [ranks, cells]; NaN where a rank saw no spike."""
    parts = by_rank(num_ranks, rates, counts, mask)
    return torch.stack([PoissonFit.of(*part).bits_per_spike().values for part in parts])


def bits_rows() -> Iterator[Row]:
    """Per-rank means, clamped cells, absent cells as 0, and a null rate with an eps."""
    for num_samples, num_ranks in ((50, 2), (200, 8), (5000, 8)):
        rates, counts, mask = spikes(num_samples)
        right = str(PoissonFit.of(rates, counts, mask).bits_per_spike().mean())
        bits = per_rank_bits(num_ranks, rates, counts, mask)
        there = bits[~bits.isnan()]
        where = f"{num_samples:,} samples on {num_ranks} ranks"
        for done, gave, why in (
            (
                "mean of per-rank values, NaN filtered out",
                float(there.mean()),
                "each rank fits a null rate of its own, and a cell counts once for each rank that saw it spike",
            ),
            (
                "the same, clamped at 0 first",
                float(there.clamp(min=0).mean()),
                "cells worse than the null become equal to it",
            ),
        ):
            yield Row("neural population", f"bits per spike, {where}", done, number(gave), right, why)
    yield from absent_rows(*spikes(200))


def absent_rows(rates: Tensor, counts: Tensor, mask: Tensor) -> Iterator[Row]:
    """What became of cells without spikes."""
    fit = PoissonFit.of(rates, counts, mask)
    exact = fit.bits_per_spike()
    as_zero = torch.where(exact.lacking, 0.0, exact.values)
    bins, num = fit.population.counted.high, fit.spikes.high
    null = num * torch.log(num / bins + 1e-9) - num
    with_eps = (fit.fit.high - null) / (num + 1e-9) / math.log(2)
    per_rank = []
    for part in by_rank(8, rates, counts, mask):
        here = PoissonFit.of(*part)
        t, n = here.population.counted.high.clamp(min=1), here.spikes.high.clamp(min=1)
        per_rank.append((here.fit.high - (n * torch.log(n / t) - n)) / n / math.log(2))
    cases = (
        ("absent cells counted as 0", float(as_zero.mean()), "a cell without spikes has no score, and 0 is one"),
        ("eps of 1e-9 in the denominator", float(with_eps[bins > 0].mean()), "0/0 became -1e8 for a silent cell"),
        (
            "8 ranks, counts of samples and spikes clamped to 1",
            float(torch.stack(per_rank).mean()),
            "silent cells are given a spike, absent ones a sample",
        ),
    )
    for done, gave, why in cases:
        yield Row("neural population", "bits per spike, 200 samples", done, number(gave), str(exact.mean()), why)


def loss_row() -> Row:
    """Mean of batch means under masks of different density."""
    random = drawn(1)
    losses = tensor(random.lognormal(0.0, 1.0, 960))
    dense = np.where(np.arange(960) < 480, 0.9, 0.05)
    mask = tensor(random.random(960) < dense)
    losses[480:] += 2.0

    def batches(size: int) -> float:
        parts = zip(torch.split(losses, size), torch.split(mask, size), strict=True)
        return mean([float(x[m].mean()) for x, m in parts if m.any()])

    return Row(
        "neural population",
        "validation loss under masks",
        "mean of batch means, batches of 16 / 240 / 960",
        " / ".join(number(batches(size)) for size in (16, 240, 960)),
        str(MaskedMean.of(losses, mask).score()),
        "a batch with two valid bins weighs as much as one with two hundred",
    )


def padding_row() -> Row:
    """Duplicates that a sampler adds so that all ranks get equally many."""
    random = drawn(2)
    losses = tensor(random.lognormal(0.0, 1.5, 9))
    dealt = np.resize(np.arange(9), 16)
    return Row(
        "neural population",
        "validation loss of 9 samples on 8 ranks",
        "DistributedSampler's 7 repeated samples counted",
        number(float(losses[dealt].mean())),
        str(MaskedMean.of(losses).score()),
        "the first samples count twice",
    )


# ----------------------------------------------------------------------------------------------- deconvolution


def fractions() -> tuple[Tensor, Tensor]:
    """512 mixtures of 8 types: the truth, and a fair prediction."""
    random = drawn(3)
    truth = random.dirichlet(np.ones(8), 512)
    noisy = truth * random.lognormal(0.0, 0.8, truth.shape)
    return tensor(noisy / noisy.sum(1, keepdims=True)), tensor(truth)


def agreement_rows() -> Iterator[Row]:
    """Concordance and correlation by batches, and of a constant."""
    prediction, truth = fractions()
    order = truth[:, 0].argsort()
    x, y = prediction[order, 0], truth[order, 0]
    by_batch = [Paired.of(*part).score().value for part in zip(torch.split(x, 16), torch.split(y, 16), strict=True)]
    yield Row(
        "deconvolution",
        "concordance of one type, samples in order of its share",
        "mean over batches of 16 samples",
        number(mean(by_batch)),
        str(Paired.of(x, y).score()),
        "not a mean of anything: it needs the means and variances of all elements",
    )
    constant = torch.full_like(truth, 1 / 8)
    constant[:, :4] = prediction[:, :4]
    found = Paired.of(constant, truth).pearson()
    as_zero = float(torch.where(found.lacking, 0.0, found.values).mean())
    yield Row(
        "deconvolution",
        "Pearson per type, four types predicted as a constant",
        "undefined counted as 0",
        number(as_zero),
        str(found.mean()),
        "a constant has no correlation; how many have none is the finding",
    )
    dead, flat = torch.full_like(truth, 1 / 8), torch.full_like(truth, 1 / 8)
    flat += 1e-4 * tensor(drawn(4).normal(size=tuple(truth.shape)))
    skill = Errors.of(flat, truth).pooled().mae_skill(Errors.of(dead, truth).pooled())[0]
    yield Row(
        "deconvolution",
        "MAE of a model that learnt nothing",
        'MAE alone, against a target of "below .1"',
        number(Errors.of(flat, truth).score().value) + ", passed",
        f"skill over the constant 1/8: {skill}",
        "without a baseline an error has no scale",
    )


def far_row() -> Row:
    """Correlation from raw sums, far from 0."""
    random = drawn(5)
    x = tensor(random.normal(size=1000))
    y = 0.5 * x + tensor(random.normal(size=1000))
    x, y = x + 3e7, y + 3e7

    def centred(left: Tensor, right: Tensor) -> float:
        plain = partial(reduce, operator.add)  # Python's own sum() would compensate
        return plain((left * right).tolist()) - plain(left.tolist()) * plain(right.tolist()) / len(left)

    naive = centred(x, y) / math.sqrt(centred(x, x) * centred(y, y))
    return Row(
        "any",
        "Pearson, values near 3e7 with a spread of 1",
        "raw sums in float64",
        number(naive),
        str(Paired.of(x, y).pearson()[0]),
        "the sums agree in all the digits that float64 has; wide sums have twice as many",
    )


# --------------------------------------------------------------------------------- radio maps, computed tomography


def maps() -> tuple[Tensor, Tensor]:
    """64 maps of 32 x 32 with values up to .6, some nearly dark; predictions with an error of .02."""
    random = drawn(6)
    bright = random.choice([0.06, 0.3, 0.6], 64)[:, None, None, None]
    truth = bright * random.random((64, 1, 32, 32))
    return tensor(np.clip(truth + 0.02 * random.normal(size=truth.shape), 0.0, 1.0)), tensor(truth)


def own_range_psnr(prediction: Tensor, truth: Tensor) -> float:
    """With the range that the batch happens to have."""
    mse = float(((prediction - truth) ** 2).mean())
    return 10 * math.log10(float(truth.max() - truth.min()) ** 2 / mse)


def image_rows() -> Iterator[Row]:
    """Ranges and means of images."""
    prediction, truth = maps()
    found = ImageErrors.of(prediction, truth, UNIT)
    pairs = {
        size: list(zip(torch.split(prediction, size), torch.split(truth, size), strict=True)) for size in (1, 8, 64)
    }
    psnr = {size: mean([own_range_psnr(*pair) for pair in parts]) for size, parts in pairs.items()}
    yield Row(
        "radio maps",
        "PSNR of maps on [0, 1]",
        "range taken from the batch, batches of 1 / 8 / 64",
        " / ".join(number(value) for value in psnr.values()) + " dB",
        f"{found.image_psnr()}; whole set {number(found.set_psnr().value)}",
        "PSNR has to equal -20 log10 RMSE for a range of 1",
    )
    nmse = {
        size: mean([float(((p - t) ** 2).sum() / (t * t).sum()) for p, t in parts]) for size, parts in pairs.items()
    }
    yield Row(
        "radio maps",
        "NMSE",
        "mean over batches of 1 / 8 / 64",
        " / ".join(number(value) for value in nmse.values()),
        f"of images {number(found.image_nmse().value)}, of the set {number(found.set_nmse().value)}, both named",
        "a ratio of sums; dark maps rule the mean of small batches",
    )
    yield Row(
        "computed tomography",
        "PSNR of volumes on [0, 1]",
        "range 2, for data on [-1, 1]",
        f"{number(ImageErrors.of(prediction, truth, DataRange(-1.0, 1.0)).image_psnr().value)} dB",
        str(found.image_psnr()),
        "20 log10 2 = 6.02 dB for nothing",
    )
    smooth = truth.mean((2, 3), keepdim=True) + 0.5 * (truth - truth.mean((2, 3), keepdim=True)) + 0.1
    yield Row(
        "computed tomography",
        "SSIM of images with half the contrast, brighter by .1",
        "Pearson's correlation under the name of SSIM",
        number(Paired.of(smooth.flatten(1).T, truth.flatten(1).T).pearson().mean().value),
        str(Similarity.of(smooth, truth, UNIT).score()),
        "correlation sees neither brightness nor contrast",
    )


def auroc_row() -> Row:
    """A mean over ranks of what is no mean."""
    random = drawn(7)
    labels = (random.random(400) < 0.1).astype(float)
    scores = random.normal(size=400) + labels + np.repeat([0.0, 0.5, 1.0, 1.5], 100)
    parts = zip(torch.split(tensor(scores), 100), torch.split(tensor(labels), 100), strict=True)
    by_part = [Auroc.of(*part).score().value for part in parts]
    return Row(
        "computed tomography",
        "AUROC, four sites with scores at different levels",
        "mean over four ranks, one site each",
        number(mean(by_part)),
        str(Auroc.of(tensor(scores), tensor(labels)).score()),
        "pairs from two ranks are never compared",
    )


# ------------------------------------------------------------------------------------------------ virtual cell


def distance_rows() -> Iterator[Row]:
    """Energy distance: V-statistics, ranks, squared norms."""
    random = drawn(8)
    x, y = tensor(random.normal(size=(160, 50))), tensor(random.normal(size=(160, 50)))
    right = str(TwoSamples.of(x, y).energy())

    def v_statistic(a: Tensor, b: Tensor) -> float:
        within = torch.cdist(a, a).mean() + torch.cdist(b, b).mean()
        return float(2 * torch.cdist(a, b).mean() - within)

    parts = [v_statistic(x[rank::8], y[rank::8]) for rank in range(8)]
    yield Row(
        "virtual cell",
        "energy distance of two draws of one distribution",
        "V-statistic / its mean over 8 ranks",
        f"{number(v_statistic(x, y))} / {number(mean(parts))}",
        right,
        "each sample is compared with itself, the more so the fewer there are",
    )
    x, wide = tensor(random.normal(size=(400, 2))), tensor(1.5 * random.normal(size=(400, 2)))
    squared = 2 * torch.cdist(x, wide).square().mean()
    within = [torch.cdist(s, s).square().sum() / (len(s) * (len(s) - 1)) for s in (x, wide)]
    moved = TwoSamples.of(x, wide)
    yield Row(
        "virtual cell",
        "energy distance, spread of 1 against 1.5",
        "squared norms",
        number(float(squared - within[0] - within[1])),
        str(moved.energy()),
        "twice the squared distance of the means, blind to the spread",
    )


def effect_rows() -> Iterator[Row]:
    """Correlation of profiles for that of effects; halves that share their controls."""
    random = drawn(9)
    profile = random.gamma(1.0, 1.0, 1000)
    effect = 0.1 * random.normal(size=1000)
    measured = profile + effect + 0.02 * random.normal(size=1000)
    predicted = profile + 0.1 * random.normal(size=1000)
    right = Paired.of(tensor(predicted - profile), tensor(measured - profile)).pearson()[0]
    yield Row(
        "virtual cell",
        "Pearson of a predicted perturbation that is pure noise",
        "of the profiles",
        number(Paired.of(tensor(predicted), tensor(measured)).pearson()[0].value),
        f"of the effects: {right}",
        "all profiles are alike; what the perturbation changed is the question",
    )
    cells = tensor(random.normal(size=(600, 1000)))
    half = half_of(torch.arange(600))
    nothing = PearsonDelta.empty(1, 1000, 0.2).with_control(cells[:200], half[:200])
    nothing = nothing.with_measured(cells[200:], torch.zeros(400, dtype=torch.int64), half[200:])
    nothing = nothing.with_predicted(cells[200:], torch.zeros(400, dtype=torch.int64))
    control = cells[:200].mean(0)
    halves = [cells[200:][half[200:] == h].mean(0) - control for h in (0, 1)]
    yield Row(
        "virtual cell",
        "split-half ceiling where there is no effect",
        "both halves minus the same controls",
        number(Paired.of(*halves).pearson()[0].value),
        f"{number(nothing.ceiling()[0].value)}; score {nothing.correlation().mean()}",
        "the noise of the controls is common to both halves, and correlates",
    )


def rows() -> list[Row]:
    """All of them."""
    some: tuple[Callable[[], Iterator[Row]], ...] = (bits_rows, agreement_rows, image_rows, distance_rows, effect_rows)
    found = {make.__name__: list(make()) for make in some}
    return [
        *found["bits_rows"],
        loss_row(),
        padding_row(),
        *found["agreement_rows"],
        *found["image_rows"],
        auroc_row(),
        *found["distance_rows"],
        *found["effect_rows"],
        far_row(),
    ]


def table(found: list[Row]) -> str:
    """As Markdown."""
    lines = ["| system | metric | as it was done | gave | right | why |", "|---|---|---|---|---|---|"]
    lines += [f"| {r.system} | {r.metric} | {r.done} | {r.gave} | {r.right} | {r.why} |" for r in found]
    return "\n".join(lines)


def with_table(page: str, new: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{new}\n{END}{after}"


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    new = table(rows())
    if parser.parse_args().write:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf8"), new), encoding="utf8")
    print(new)


if __name__ == "__main__":
    main()
