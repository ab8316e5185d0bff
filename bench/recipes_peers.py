"""The deconvolution recipe beside a peer's method: nu-support vector regression, by scikit-learn.

    python bench/recipes_peers.py [--seeds 2] [--data pbmc68k_reduced.h5ad]

For each sample, signature and sample are brought to mean 0 and deviation 1 over the genes, a linear nu-SVR is fitted
with nu of 1/4, 1/2 and 3/4, the fit with the least squared error is taken, coefficients below 0 become 0 and the rest
are scaled to the sum 1 (Newman et al., Nature Methods 12, 2015). Corrected for the mRNA content as well. The model is
that of `evenkeel recipes run` with its defaults; the first 30 samples of two studies of `recipes_deconvolution.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from recipes_deconvolution import cells_of, judged, named, run, studies
from sklearn.svm import NuSVR

from evenkeel_recipes.deconvolution.data.mixtures import Signature, composition, signature_of
from evenkeel_recipes.deconvolution.data.reference import divide
from evenkeel_recipes.deconvolution.likelihoods.baselines import cell_fractions

SAMPLES = 30
NU = (0.25, 0.5, 0.75)


def nu_svr(bulk: NDArray[np.float64], signature: Signature) -> NDArray[np.float64]:
    """Shares of mRNA [samples, types] of compositions [samples, genes]."""
    types = _standardised(signature.composition.T)
    found = []
    for sample in map(_standardised, bulk):
        fits = [NuSVR(kernel="linear", nu=nu).fit(types, sample) for nu in NU]
        best = min(fits, key=lambda fit: float(((fit.predict(types) - sample) ** 2).mean()))
        shares = np.maximum(best.coef_[0], 0)
        found.append(shares / shares.sum())
    return np.stack(found)


def _standardised(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((values - values.mean()) / values.std())


def main() -> int:
    """Print mean absolute errors, seed by seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--data", type=Path, default=None)
    asked = parser.parse_args()
    for seed in range(asked.seeds):
        cells, n_cells = cells_of(seed, asked.data)
        known, mixed = divide(cells, (0.5, 0.5), seed)
        signature = signature_of(known)
        with tempfile.TemporaryDirectory() as where:
            run(Path(where), known, seed, n_cells)
            for study in list(studies(mixed, n_cells, seed))[:2]:
                own = judged(Path(where), study, cells)
                truth = study.mixtures.fractions[:SAMPLES]
                shares = nu_svr(composition(study.mixtures.counts[:SAMPLES]), signature)
                cells_too = cell_fractions(shares, signature.content)
                errors = {
                    "model": own.own[:SAMPLES].mean(),
                    "nu-SVR": np.abs(shares - truth).mean(),
                    "nu-SVR, mRNA content": np.abs(cells_too - truth).mean(),
                    "poisson_em_cells": own.others["poisson_em_cells"][:SAMPLES].mean(),
                }
                words = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
                print(f"{named(asked.data)}, seed {seed}, {study.name}: {words}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
