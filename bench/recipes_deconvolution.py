"""The deconvolution recipe: scores beside baselines on cells that it never saw, over seeds, and its speed.

    python bench/recipes_deconvolution.py [--seeds 5] [--data pbmc68k_reduced.h5ad] [--only accuracy|flags|speed]

Accuracy: half of the cells (or donors) are the reference that `evenkeel recipes run` is given; bulk samples are sums of
cells of the other half, measured in the ways of `studies`; then with a reference that lacks a type, another one
in each seed, judged on the fractions of the others. Each seed is printed, then each baseline beside the model: in how
many seeds the model was better, and a Wilcoxon signed-rank test over the samples of all seeds. Flags: each type
left out of the reference in turn, without training. Speed: training steps alone, the fastest and the median of five.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data.mixtures import Mixtures, composition, mix, rescaled, signature_of, without
from evenkeel_recipes.deconvolution.data.reference import Reference, divide, halved, read_reference, three_parts
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world
from evenkeel_recipes.deconvolution.judging.estimate import LEVELS, estimate, restricted
from evenkeel_recipes.deconvolution.judging.evaluate import baselines, coverage, scores
from evenkeel_recipes.deconvolution.judging.keep import read_kept
from evenkeel_recipes.deconvolution.likelihoods.intervals import calibrate, strange
from evenkeel_recipes.deconvolution.likelihoods.likelihood import joined
from evenkeel_recipes.deconvolution.likelihoods.study import fit_and_doubt
from evenkeel_recipes.deconvolution.networks.streams import Cells, Pairs, training_loader
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import to_train_on
from evenkeel_recipes.deconvolution.training.train import Training, build

COMMAND = (sys.executable, "-m", "evenkeel_recipes.deconvolution")
SAMPLES = 300
FEW = 12  # samples of a small study
OTHER = 0.6  # deviation of the logarithms of gene factors


@dataclass(frozen=True, slots=True)
class Study:
    """Samples with their truth, and the positions of the genes that were measured."""

    name: str
    mixtures: Mixtures
    genes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Found:
    """Scores of one study: the model's, and mean absolute errors of each sample, [samples]."""

    mae: float
    ccc: float
    coverage: float
    strange: float
    own: NDArray[np.float64]
    others: dict[str, NDArray[np.float64]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=None, help="pbmc68k_reduced.h5ad; without it, the simulator alone")
    parser.add_argument("--only", choices=("accuracy", "flags", "speed"), default=None)
    asked = parser.parse_args()
    worlds = (None, asked.data) if asked.data else (None,)
    if asked.only in (None, "speed"):
        speed()
    if asked.only in (None, "flags"):
        for data in worlds:
            flags(data, min(asked.seeds, 2))
    if asked.only in (None, "accuracy"):
        for data in worlds:
            accuracy(asked.seeds, data)
    return 0


def speed() -> None:
    """Pairs a second through forward, backward, clipping and update, at 2,000 genes and 8 types."""
    science, config = healthy(), RunConfig(n_train=5120, redraws=4)
    cells = draw_cells(make_world(0), 4000, 0)
    pairs = Pairs(to_train_on(cells, config, science).samples(science.bulk_target), Cells(cells))
    training = Training(build(cells, signature_of(cells), config, science), config, science, 1000)
    optimizer = training.configure_optimizers()["optimizer"]
    training.train()
    rates = []
    for _ in range(5):
        began, seen = time.perf_counter(), 0
        for batch in training_loader(pairs, len(pairs), config.batch_size, 0, 0, 1):
            terms = training.terms(batch)
            loss = terms.recon + 0.1 * terms.kl + terms.proto + terms.prop + 0.5 * terms.bulk_recon
            loss.backward()
            torch.nn.utils.clip_grad_norm_(training.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            seen += len(batch.labels)
        rates.append(seen / (time.perf_counter() - began))
    print(
        f"{max(rates):,.0f} pairs a second at best, {np.median(rates):,.0f} the median of 5, "
        f"{torch.get_num_threads()} threads",
        flush=True,
    )


# ---------------------------------------------------------------------------------------------- accuracy


def accuracy(seeds: int, data: Path | None) -> None:
    """Train on half of the cells of each seed, judge on all studies of the other half."""
    found: dict[str, list[Found]] = {}
    name = named(data)
    for seed in range(seeds):
        cells, n_cells = cells_of(seed, data)
        known, mixed = divide(cells, (0.5, 0.5), seed)
        kind = seed % len(cells.types)
        gaps = missing(studies(mixed, n_cells, seed), kind)
        for reference, its_studies in ((known, studies(mixed, n_cells, seed)), (lacking(known, kind), gaps)):
            with tempfile.TemporaryDirectory() as where:
                run(Path(where), reference, seed, n_cells)
                for study in its_studies:
                    one = judged(Path(where), study, cells)
                    found.setdefault(study.name, []).append(one)
                    others = ", ".join(f"{other} {errors.mean():.4f}" for other, errors in one.others.items())
                    print(
                        f"{name}, seed {seed}, {study.name}: {one.mae:.4f}, held {one.coverage:.3f} | {others}",
                        flush=True,
                    )
    print(f"\n{name}, {seeds} seeds, mean absolute errors, means over seeds")
    print(
        "| bulk | model | best baseline | seeds better | samples better | Wilcoxon p | CCC | held (least) | strange |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for kind, rows in found.items():
        print(table_row(kind, rows), flush=True)


def table_row(kind: str, rows: list[Found]) -> str:
    """The model beside the baseline that is best on the mean of these seeds; it is better than all in so many seeds."""
    best = min(rows[0].others, key=lambda other: np.mean([row.others[other].mean() for row in rows]))
    gains = np.concatenate([row.others[best] - row.own for row in rows])
    won = sum(row.mae < min(errors.mean() for errors in row.others.values()) for row in rows)
    means = pd.DataFrame([(row.mae, row.ccc, row.coverage, row.strange) for row in rows]).mean()
    baseline = np.mean([row.others[best].mean() for row in rows])
    return (
        f"| {kind} | {means[0]:.4f} | {baseline:.4f} ({best}) | {won} of {len(rows)} | {(gains > 0).sum()} of "
        f"{len(gains)} | {wilcoxon(gains).pvalue:.0e} | {means[1]:.3f} | {means[2]:.3f} "
        f"({min(row.coverage for row in rows):.3f}) | {means[3]:.2f} |"
    )


def studies(cells: Reference, n_cells: int, seed: int) -> Iterator[Study]:
    """Mixtures of cells that the reference does not have, measured in several ways."""
    rng = np.random.default_rng(seed + 7)
    n_genes, n_types = len(cells.genes), len(cells.types)
    every = np.arange(n_genes)
    drawn = mix(cells, SAMPLES, n_cells, 1.0, seed)
    other = rescaled(drawn, OTHER, seed)
    alike = about(cells, rng.dirichlet(np.ones(n_types)), 5 * n_cells, rng)
    singly = np.exp(rng.normal(0, OTHER, drawn.counts.shape))
    chance = np.random.default_rng(seed + 8)
    far_out = np.exp(4.0 * (chance.random(drawn.counts.shape) < 0.01) + 8.0 * (every == chance.integers(n_genes)))
    strangers = rng.dirichlet(np.full(n_genes, 0.3)) * drawn.counts.sum(1, keepdims=True)
    shallow = np.stack([rng.multinomial(10_000, row) for row in composition(other.counts)])
    yield Study("as the reference", drawn, every)
    yield Study("other technology", other, every)
    yield Study(f"the same, {FEW} samples", other.take(slice(FEW)), every)
    yield Study(f"the same, {FEW} samples much alike", rescaled(alike, OTHER, seed), every)
    yield Study("other technology, 10,000 counts", replace(other, counts=shallow.astype(np.float64)), every)
    yield Study("each sample by a technology of its own", replace(drawn, counts=drawn.counts * singly), every)
    yield Study("other technology, genes far out", replace(other, counts=other.counts * far_out), every)
    yield Study("30 % of the genes missing", drawn, np.sort(rng.permutation(n_genes)[: int(0.7 * n_genes)]))
    yield Study("a fifth of foreign RNA", replace(drawn, counts=0.8 * drawn.counts + 0.2 * strangers), every)


def missing(every: Iterator[Study], kind: int) -> Iterator[Study]:
    """The first two of the studies, whose reference will lack a type: the truth is of the other types."""
    for study in islice(every, 2):
        yield replace(study, name=f"{study.name}, a type missing", mixtures=without(study.mixtures, kind))


def about(cells: Reference, centre: NDArray[np.float64], n_cells: int, rng: np.random.Generator) -> Mixtures:
    """A few samples whose proportions differ little."""
    target = rng.dirichlet(40 * centre + 0.05, FEW)
    numbers = np.stack([rng.multinomial(n_cells, row) for row in target])
    members = [np.flatnonzero(cells.labels == kind) for kind in range(len(centre))]
    rows = [
        np.concatenate([rng.choice(group, number) for group, number in zip(members, row, strict=True)])
        for row in numbers
    ]
    counts = np.stack([np.asarray(cells.counts[chosen].sum(0), dtype=np.float64).ravel() for chosen in rows])
    return Mixtures(counts, numbers / n_cells, target)


def run(out: Path, cells: Reference, seed: int, n_cells: int) -> None:
    """`evenkeel recipes run` with its defaults."""
    obs = pd.DataFrame({"cell_type": np.array(cells.types)[cells.labels]}, index=cells.cells)
    if cells.donors is not None:
        obs["donor"] = cells.donors
    anndata.AnnData(cells.counts, obs=obs, var=pd.DataFrame(index=list(cells.genes))).write_h5ad(out / "reference.h5ad")
    donors = () if cells.donors is None else ("--donor-key", "donor")
    more = ("--reference", out / "reference.h5ad", "--out", out, "--seed", seed, "--n-cells", n_cells, *donors)
    subprocess.run([*COMMAND, "run", "--cpu", *map(str, more)], check=True, capture_output=True)


def judged(out: Path, study: Study, cells: Reference) -> Found:
    """The kept model on one study, beside the baselines."""
    kept = read_kept(out / "model.json")
    place = {gene: position for position, gene in enumerate(kept.genes)}
    there = [gene for gene in study.genes if cells.genes[gene] in place]
    genes = np.array([place[cells.genes[gene]] for gene in there])
    counts, truth = study.mixtures.counts[:, there], study.mixtures.fractions
    estimated = estimate(kept.estimator, counts, genes)
    own = scores(estimated.fractions, truth)
    simple = baselines(composition(counts), restricted(kept.estimator.signature, genes), None)
    return Found(
        mae=own["mae"],
        ccc=own["ccc"],
        coverage=coverage(estimated, truth),
        strange=float(estimated.strange.mean()),
        own=np.abs(estimated.fractions - truth).mean(1),
        others={name: np.abs(other - truth).mean(1) for name, other in simple.items()},
    )


def named(data: Path | None) -> str:
    return "simulator" if data is None else data.name


def cells_of(seed: int, data: Path | None) -> tuple[Reference, int]:
    """All cells, and how many make a sample."""
    if data is None:
        return draw_cells(make_world(seed), 6000, seed), 1000
    return read_reference(data, "cell_type", "counts", None, 10**6, 0), 200


# ------------------------------------------------------------------------------------------------- flags


def flags(data: Path | None, seeds: int) -> None:
    """Shares of samples that are marked as strange: with 30 % or more of a type that is missing, and without it."""
    for deviation in (0.0, OTHER):
        for seed in range(seeds):
            marked, alarms = zip(*marks(data, seed, deviation), strict=True)
            print(
                f"{named(data)}, seed {seed}, genes scaled by {deviation}: marked {np.mean(marked):.2f} (by type "
                f"{', '.join(f'{share:.2f}' for share in marked)}), alarms {np.mean(alarms):.3f}",
                flush=True,
            )


def marks(data: Path | None, seed: int, deviation: float) -> Iterator[tuple[float, float]]:
    """Of each type: the share of samples that are marked where it is missing, and where there is none of it."""
    cells, n_cells = cells_of(seed, data)
    known, mixed = divide(cells, (0.5, 0.5), seed)
    parts = three_parts(known, seed)
    for kind in range(len(cells.types)):
        signature = signature_of(lacking(parts.train, kind))
        usual = [
            rescaled(mix(halved(lacking(parts.validation, kind), place), 41, n_cells, 1.0, place), sd, place)
            for place, sd in enumerate(np.repeat((0.0, 0.4, 0.8), 4))
        ]
        fitted = joined([fit_and_doubt(composition(study.counts), signature) for study in usual])
        truth = np.concatenate([study.fractions for study in usual])
        calibration = calibrate(fitted.estimates[:, 1], truth, fitted, LEVELS)
        deployed = signature_of(lacking(known, kind))
        whole = rescaled(mix(mixed, 1000, n_cells, 1.0, seed + 2), deviation, seed)
        without = rescaled(mix(lacking(mixed, kind), SAMPLES, n_cells, 1.0, seed + 1), deviation, seed)
        much = strange(fit_and_doubt(composition(whole.counts), deployed), calibration)[whole.fractions[:, kind] >= 0.3]
        none = strange(fit_and_doubt(composition(without.counts), deployed), calibration)
        yield float(much.mean()), float(none.mean())


def lacking(cells: Reference, kind: int) -> Reference:
    """The cells without a type."""
    others = np.flatnonzero(cells.labels != kind)
    rest = replace(cells.take(others), labels=cells.labels[others] - (cells.labels[others] > kind))
    return replace(rest, types=cells.types[:kind] + cells.types[kind + 1 :])


if __name__ == "__main__":
    sys.exit(main())
