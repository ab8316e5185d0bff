"""The deconvolution recipe: scores beside baselines on cells that it never saw, over seeds, and its speed.

    python bench/recipes_deconvolution.py [--seeds 5] [--data pbmc68k_reduced.h5ad] [--only accuracy|flags|speed]

Accuracy: half of the cells (or donors) are the reference that `evenkeel recipes run` is given; bulk samples are sums of
cells of the other half, as they are, by another technology (each gene scaled, log-normal, deviation 0.6), and with a
type that the reference lacks. Flags: each type left out of the reference in turn, without training. Speed: training
steps alone, the fastest and the median of five epochs.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from scipy.stats import wilcoxon

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data import Reference, divide, read_reference, resampled, three_parts
from evenkeel_recipes.deconvolution.estimate import USUAL, estimate
from evenkeel_recipes.deconvolution.estimators import BASELINES
from evenkeel_recipes.deconvolution.evaluate import coverage, scores
from evenkeel_recipes.deconvolution.keep import read_kept
from evenkeel_recipes.deconvolution.likelihood import fit_all
from evenkeel_recipes.deconvolution.mixtures import Mixtures, composition, mix, rescaled, signature_of
from evenkeel_recipes.deconvolution.prepare import to_train_on
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.simulate import draw_cells, make_world
from evenkeel_recipes.deconvolution.streams import Cells, Pairs, training_loader
from evenkeel_recipes.deconvolution.train import Training, build

COMMAND = (sys.executable, "-m", "evenkeel_recipes.deconvolution")
SAMPLES = 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=None, help="pbmc68k_reduced.h5ad; without it, the simulator alone")
    parser.add_argument("--only", choices=("accuracy", "flags", "speed"), default=None)
    asked = parser.parse_args()
    if asked.only in (None, "speed"):
        speed()
    if asked.only in (None, "flags"):
        for data in (None, asked.data) if asked.data else (None,):
            flags(data, min(asked.seeds, 2))
    if asked.only in (None, "accuracy"):
        accuracy("simulator", asked.seeds, None)
        if asked.data is not None:
            accuracy("pbmc", asked.seeds, asked.data)
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
        for batch in training_loader(pairs, config.batch_size, 0, 0, 1):
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
        f"{torch.get_num_threads()} threads"
    )


def accuracy(name: str, seeds: int, data: Path | None) -> None:
    """A table: mean absolute error and concordance beside the best baseline of each seed, and Wilcoxon over samples."""
    kinds = ("as the reference", "other technology", "a type missing")
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    gains: dict[str, list[np.ndarray]] = {kind: [] for kind in kinds}
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as where:
            for kind, figures, gain in one_seed(Path(where), seed, data):
                found[kind].append(figures)
                gains[kind].append(gain)
    print(f"\n{name}, {seeds} seeds, {SAMPLES} samples each")
    print("| bulk | model MAE | best baseline | constant | model CCC | baseline CCC | cover | flagged | Wilcoxon p |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in kinds:
        mean = pd.DataFrame(found[kind]).mean()
        p_value = wilcoxon(np.concatenate(gains[kind])).pvalue
        print(
            f"| {kind} | {mean.mae:.4f} | {mean.best:.4f} | {mean.constant:.4f} | {mean.ccc:.3f} | {mean.best_ccc:.3f} "
            f"| {mean.coverage:.3f} | {mean.flagged:.2f} | {p_value:.0e} |",
            flush=True,
        )


def flags(data: Path | None, seeds: int) -> None:
    """Shares of samples that are marked as strange: with 30 % or more of a type that is missing, and without it."""
    for seed in range(seeds):
        cells, n_cells = cells_of(seed, data)
        known, mixed = divide(cells, (0.5, 0.5), seed)
        parts = three_parts(known, seed)
        marked, alarms = [], []
        for kind in range(len(cells.types)):
            signature = signature_of(lacking(parts.train, kind))
            usual = mix(resampled(lacking(parts.validation, kind), seed), 333, n_cells, 1.0, seed)
            limit = np.quantile(fit_all(composition(usual.counts), signature).deviance, USUAL)
            deployed = signature_of(lacking(known, kind))
            whole = mix(mixed, 2000, n_cells, 1.0, seed + 2)
            much = whole.counts[whole.fractions[:, kind] >= 0.3]
            without = mix(lacking(mixed, kind), SAMPLES, n_cells, 1.0, seed + 1).counts
            marked.append((fit_all(composition(much), deployed).deviance > limit).mean())
            alarms.append((fit_all(composition(without), deployed).deviance > limit).mean())
        name = "simulator" if data is None else data.name
        print(
            f"{name}, seed {seed}: marked {np.mean(marked):.2f} (least {min(marked):.2f}), alarms {np.mean(alarms):.3f}"
        )


def lacking(cells: Reference, kind: int) -> Reference:
    """The cells without a type."""
    others = np.flatnonzero(cells.labels != kind)
    rest = replace(cells.take(others), labels=cells.labels[others] - (cells.labels[others] > kind))
    return replace(rest, types=cells.types[:kind] + cells.types[kind + 1 :])


def cells_of(seed: int, data: Path | None) -> tuple[Reference, int]:
    """All cells, and how many make a sample."""
    if data is None:
        return draw_cells(make_world(seed), 6000, seed), 1000
    return read_reference(data, "cell_type", "counts", None, 10**6, 0), 200


def one_seed(where: Path, seed: int, data: Path | None):
    cells, n_cells = cells_of(seed, data)
    known, mixed = divide(cells, (0.5, 0.5), seed)
    drawn = mix(mixed, SAMPLES, n_cells, 1.0, seed)
    largest = int(np.argmax(np.bincount(known.labels)))
    run(where / "whole", known, seed, n_cells)
    yield "as the reference", *scored(where / "whole", drawn, cells)
    yield "other technology", *scored(where / "whole", rescaled(drawn, 0.6, seed), cells)
    run(where / "rest", lacking(known, largest), seed, n_cells)
    much = drawn.fractions[:, largest] >= 0.3
    chosen = Mixtures(drawn.counts[much], drawn.fractions[much], drawn.asked[much])
    yield "a type missing", *scored(where / "rest", chosen, cells)


def run(out: Path, cells: Reference, seed: int, n_cells: int) -> None:
    out.mkdir(parents=True)
    obs = pd.DataFrame({"cell_type": np.array(cells.types)[cells.labels]}, index=cells.cells)
    if cells.donors is not None:
        obs["donor"] = cells.donors
    anndata.AnnData(cells.counts, obs=obs, var=pd.DataFrame(index=list(cells.genes))).write_h5ad(out / "reference.h5ad")
    donors = () if cells.donors is None else ("--donor-key", "donor")
    more = ("--reference", out / "reference.h5ad", "--out", out, "--seed", seed, "--n-cells", n_cells, *donors)
    subprocess.run([*COMMAND, "run", "--cpu", *map(str, more)], check=True, capture_output=True)


def scored(out: Path, mixtures: Mixtures, cells: Reference) -> tuple[dict[str, float], np.ndarray]:
    """Scores, and by how much each sample is better than under the best baseline of these samples."""
    kept = read_kept(out / "model.json", healthy())
    genes = np.array([cells.genes.index(gene) for gene in kept.genes])
    types = [cells.types.index(kind) for kind in kept.types]
    counts = mixtures.counts[:, genes]
    truth = mixtures.fractions[:, types]
    truth = truth / truth.sum(1, keepdims=True)
    estimated = estimate(kept.estimator, counts, np.arange(len(genes)))
    own = scores(estimated.fractions, truth)
    others = {name: method(composition(counts), kept.estimator.signature) for name, method in BASELINES.items()}
    name = min(others, key=lambda other: np.abs(others[other] - truth).mean())
    best = scores(others[name], truth)
    found = {
        "mae": own["mae"],
        "ccc": own["ccc"],
        "best": best["mae"],
        "best_ccc": best["ccc"],
        "constant": np.abs(others["constant"] - truth).mean(),
        "coverage": coverage(estimated, truth),
        "flagged": estimated.strange.mean(),
    }
    return found, (np.abs(others[name] - truth) - np.abs(estimated.fractions - truth)).mean(1)


if __name__ == "__main__":
    sys.exit(main())
