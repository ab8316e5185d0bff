"""Cells on demand, each beside the same cell without the perturbation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
import torch
from scipy import sparse
from torch import Tensor

from evenkeel import ops
from evenkeel_recipes.kit.faults import banner, planted
from evenkeel_recipes.kit.refusal import DONE, STOPPED, Refused
from evenkeel_recipes.virtual_cell.conditions import Vocabulary, codes, unknown_perturbation
from evenkeel_recipes.virtual_cell.config import PredictConfig
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.profiles import TARGET_SUM
from evenkeel_recipes.virtual_cell.sampling import How
from evenkeel_recipes.virtual_cell.store import read_trained, settings_of
from evenkeel_recipes.virtual_cell.virtual import Asked, Cells, Trained, generate

SHOWN = 10  # genes


class Pair(NamedTuple):
    """The same cells treated and untreated."""

    treated: Cells
    untreated: Cells
    cell_type: int


def predict(config: PredictConfig) -> int:
    """Write the cells that were asked for to `config.out`; gives the exit status."""
    faults = settings_of(config.model).get("faults", [])
    sys.stderr.writelines(line + "\n" for line in banner(faults, FAULTS))
    trained, settings = read_trained(config.model, planted(HEALTHY, faults, FAULTS))
    how = How(
        config.solver,
        config.n_steps,
        config.guidance,
        config.tech,
        str(settings["source"]),
        config.on_bad,
        config.library,
    )
    try:
        pairs = [_pair(trained, asked, how) for asked in asked_of(config, trained)]
    except ops.NonFiniteVelocity as error:
        sys.stderr.write(f"sampling of {config.perturbation} stopped: {error}\n")
        return STOPPED
    made = sum(len(pair.treated.counts) for pair in pairs)
    if made < config.n:
        sys.stdout.write(f"{config.n - made} of {config.n} cells were left out: their velocity was not finite\n")
    as_anndata(pairs, config, trained.vocabulary).write_h5ad(config.out)
    sys.stdout.write(f"{config.out}: {made} cells of {config.perturbation}, beside the same without it\n")
    for line in effect_lines(pairs, trained.vocabulary.genes):
        sys.stdout.write(line + "\n")
    return DONE


def code_of(config: PredictConfig, trained: Trained) -> Tensor:
    """Code [perturbations] of what was asked for.

    Raises:
        Refused: a perturbation that the model knows nothing about.
    """
    words = trained.vocabulary
    code = torch.from_numpy(codes([words.treatment(config.perturbation, config.dose)], words)[0])
    known = trained.model.field.is_known[: len(code)]
    for column in ((code != 0) & (known == 0)).nonzero().flatten().tolist():
        learnt = [name for name, is_known in zip(words.perturbations, known.tolist(), strict=True) if is_known]
        raise Refused(unknown_perturbation(words.perturbations[column], learnt))
    return code


def asked_of(config: PredictConfig, trained: Trained) -> list[Asked]:
    """What to generate, one request for each cell type.

    Raises:
        Refused: a name that is none.
    """
    words = trained.vocabulary
    if config.n < 1:
        raise Refused(f"--n {config.n}: at least one cell has to be asked for")
    code = code_of(config, trained)
    batch = None if config.batch is None else _place(config.batch, words.batches, "batch")
    if config.cell_type is not None:
        return [Asked(code, _place(config.cell_type, words.cell_types, "cell type"), config.n, batch, config.seed)]
    counted = torch.bincount(trained.bank.cell_type, minlength=len(words.cell_types)).double()
    ends = torch.round(counted.cumsum(0) / counted.sum() * config.n).long()
    numbers = ends.diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
    return [Asked(code, kind, n, batch, config.seed) for kind, n in enumerate(numbers) if n]


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
    """Largest changes of log1p counts per 10,000, with their standard errors over cells."""
    change = torch.cat([_logs(p.treated.counts) - _logs(p.untreated.counts) for p in pairs])
    if len(change) < 2:  # noqa: PLR2004  an error needs two
        return []
    mean, error = change.mean(0), change.std(0) / len(change) ** 0.5
    top = mean.abs().topk(min(SHOWN, len(mean))).indices.tolist()
    span = f"{float(mean.min()):.3f} and {float(mean.max()):.3f}"
    head = f"effects on log1p counts per 10,000 lie between {span}; the largest, with Monte Carlo errors:"
    return [head, *(f"  {genes[gene]:<16} {float(mean[gene]):+.3f} ± {float(error[gene]):.3f}" for gene in top)]


def _pair(trained: Trained, asked: Asked, how: How) -> Pair:
    treated, untreated = (generate(trained, a, how) for a in (asked, replace(asked, code=torch.zeros_like(asked.code))))
    there, here = treated.start.row, untreated.start.row  # under --on-bad mask, cells may be missing on either side
    return Pair(treated.take(torch.isin(there, here)), untreated.take(torch.isin(here, there)), asked.cell_type)


def _place(name: str, names: Sequence[str], what: str) -> int:
    if name not in names:
        raise Refused(f"there is no {what} {name!r} in the model; there are {', '.join(names)}")
    return names.index(name)


def _stacked(cells: Sequence[Cells], field: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.concatenate([getattr(one, field).numpy() for one in cells]).astype(np.float32)


def _logs(counts: Tensor) -> Tensor:
    wide = counts.double()
    return torch.log1p(wide * (TARGET_SUM / wide.sum(1, keepdim=True).clamp(min=1)))
