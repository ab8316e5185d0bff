"""What is written and told about cells that were predicted."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.config import PredictConfig
from evenkeel_recipes.virtual_cell.generating.generate import Cells, Trained
from evenkeel_recipes.virtual_cell.generating.sampling import How, solver_error
from evenkeel_recipes.virtual_cell.means.profiles import TARGET_SUM

SHOWN = 10  # genes
ENOUGH = 500  # cells, for effects


class Pair(NamedTuple):
    """The same cells treated and untreated."""

    treated: Cells
    untreated: Cells
    cell_type: int
    code: Tensor


def as_anndata(pairs: Sequence[Pair], config: PredictConfig, words: Vocabulary) -> anndata.AnnData:
    """Drawn counts in X; expected counts and the untreated cells in layers, row by row the same cell."""
    treated, untreated = [p.treated for p in pairs], [p.untreated for p in pairs]
    kinds = np.concatenate([np.repeat(words.cell_types[p.cell_type], len(p.treated.counts)) for p in pairs])
    batches = np.concatenate([np.array(words.batches)[p.treated.start.batch.numpy()] for p in pairs])
    counts = _stacked(treated, "counts")
    obs = pd.DataFrame(
        {"perturbation": config.perturbation, "cell_type": kinds, "batch": batches, "library": counts.sum(1)},
        index=[f"virtual{number}" for number in range(len(kinds))],
    )
    return anndata.AnnData(
        X=sparse.csr_matrix(counts),
        obs=obs,
        var=pd.DataFrame(index=list(words.genes)),
        layers={
            "mean": _stacked(treated, "mean"),
            "control_counts": sparse.csr_matrix(_stacked(untreated, "counts")),
            "control_mean": _stacked(untreated, "mean"),
        },
        obsm={"latent": _stacked(treated, "z"), "control_latent": _stacked(untreated, "z")},
        uns={
            "vocabulary_sha256": words.sha256,
            "seed": config.seed,
            "solver": config.solver,
            "n_steps": config.n_steps,
        },
    )


def effect_lines(pairs: Sequence[Pair], genes: Sequence[str]) -> list[str]:
    """Mean, range and largest changes of log1p counts per 10,000, with their standard errors over cells."""
    change = torch.cat([_logs(p.treated.counts) - _logs(p.untreated.counts) for p in pairs])
    n = len(change)
    if n < 2:  # noqa: PLR2004  an error needs two
        return []
    mean, error = change.mean(0), change.std(0) / n**0.5
    of_all = change.mean(1)
    top = mean.abs().topk(min(SHOWN, len(mean))).indices.tolist()
    few = [] if n >= ENOUGH else [f"from {n} cells only: for effects ask for {ENOUGH} or more (--n)"]
    head = (
        f"effects on log1p counts per 10,000, over {len(mean):,} genes: mean {float(of_all.mean()):+.4f} ± "
        f"{float(of_all.std()) / n**0.5:.4f}, from {float(mean.min()):.3f} to {float(mean.max()):.3f}; the largest, "
        "with Monte Carlo errors:"
    )
    return [
        head,
        *(f"  {genes[gene]:<16} {float(mean[gene]):+.3f} ± {float(error[gene]):.3f}" for gene in top),
        *few,
    ]


def error_line(trained: Trained, pairs: Sequence[Pair], how: How) -> str:
    """How exactly the flow was followed."""
    errors = [solver_error(trained.model, pair.treated.start, pair.code, how) for pair in pairs]
    return f"error of the latents by {how.solver}, by halving its steps: {max(errors):.2g} (root mean square)"


def write_cells(path: Path, cells: anndata.AnnData) -> None:
    """Write a file so that nobody ever meets half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.h5ad")
    cells.copy().write_h5ad(partial)
    partial.replace(path)


def _stacked(cells: Sequence[Cells], field: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.concatenate([getattr(one, field).numpy() for one in cells]).astype(np.float32)


def _logs(counts: Tensor) -> Tensor:
    wide = counts.double()
    return torch.log1p(wide * (TARGET_SUM / wide.sum(1, keepdim=True).clamp(min=1)))
