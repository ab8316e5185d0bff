"""Cells on demand, each beside the same cell without the perturbation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import fields, replace

import torch

from evenkeel import ops
from evenkeel_recipes.kit.faults import banner
from evenkeel_recipes.kit.options import from_mapping
from evenkeel_recipes.kit.refusal import DONE, STOPPED, Refused
from evenkeel_recipes.virtual_cell.cells.names import places_of
from evenkeel_recipes.virtual_cell.cells.reading import vocabulary_in
from evenkeel_recipes.virtual_cell.config import DataConfig, PredictConfig
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.generating.by_name import code_of, load, place_in, under_names
from evenkeel_recipes.virtual_cell.generating.generate import Asked, Trained, generate
from evenkeel_recipes.virtual_cell.generating.predicted import Pair, as_anndata, effect_lines, error_line, write_cells
from evenkeel_recipes.virtual_cell.generating.sampling import How
from evenkeel_recipes.virtual_cell.generating.store import settings_of
from evenkeel_recipes.virtual_cell.training.ranks import joined


def predict(config: PredictConfig) -> int:
    """Write the cells that were asked for to `config.out`; gives the exit status. Of several processes, one does."""
    with joined() as ranks:
        return _predict(config) if ranks.is_first else DONE


def _predict(config: PredictConfig) -> int:
    settings = settings_of(config.model)
    sys.stderr.writelines(line + "\n" for line in banner(settings["faults"], FAULTS))
    trained, source = load(config.model)
    genes = trained.vocabulary.genes
    if config.data is not None:
        names = vocabulary_in(data_config(settings), config.data)
        trained = trained if config.remap else under_names(trained, names)
        genes = names.genes
        places_of(trained.vocabulary.genes, genes, "gene")
    how = replace(
        source, solver=config.solver, n_steps=config.n_steps, guidance=config.guidance, tech=config.tech,
        on_bad=config.on_bad, library=config.library,
    )  # fmt: skip
    try:
        pairs = [_pair(trained, asked, how) for asked in asked_of(config, trained)]
    except ops.NonFiniteVelocity as error:
        sys.stderr.write(f"sampling of {config.perturbation} stopped: {error}\n")
        return STOPPED
    made = sum(len(pair.treated.counts) for pair in pairs)
    if made < config.n:
        sys.stdout.write(f"{config.n - made} of {config.n} cells were left out: their velocity was not finite\n")
    write_cells(config.out, as_anndata(pairs, config, trained.vocabulary)[:, list(genes)])
    sys.stdout.write(f"{config.out}: {made} cells of {config.perturbation}, beside the same without it\n")
    for line in [*effect_lines(pairs, trained.vocabulary.genes), error_line(trained, pairs, how)]:
        sys.stdout.write(line + "\n")
    return DONE


def data_config(settings: Mapping[str, object]) -> DataConfig:
    """How a run read its data."""
    return from_mapping(DataConfig, {field.name: settings[field.name] for field in fields(DataConfig)})


def asked_of(config: PredictConfig, trained: Trained) -> list[Asked]:
    """What to generate, one request for each cell type.

    Raises:
        Refused: a name that is none.
    """
    words = trained.vocabulary
    if config.n < 1:
        raise Refused(f"--n {config.n}: at least one cell has to be asked for")
    code = code_of(config.perturbation, config.dose, trained)
    batch = None if config.batch is None else place_in(words.batches, config.batch, "batch")
    if config.cell_type is not None:
        return [Asked(code, place_in(words.cell_types, config.cell_type, "cell type"), config.n, batch, config.seed)]
    counted = torch.bincount(trained.bank.cell_type, minlength=len(words.cell_types)).double()
    ends = torch.round(counted.cumsum(0) / counted.sum() * config.n).long()
    numbers = ends.diff(prepend=torch.zeros(1, dtype=torch.long)).tolist()
    return [Asked(code, kind, n, batch, config.seed) for kind, n in enumerate(numbers) if n]


def _pair(trained: Trained, asked: Asked, how: How) -> Pair:
    treated, untreated = (generate(trained, a, how) for a in (asked, replace(asked, code=torch.zeros_like(asked.code))))
    there, here = treated.start.row, untreated.start.row  # under --on-bad mask, cells may be missing on either side
    return Pair(
        treated.take(torch.isin(there, here)), untreated.take(torch.isin(here, there)), asked.cell_type, asked.code
    )
