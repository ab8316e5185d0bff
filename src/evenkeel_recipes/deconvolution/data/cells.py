"""The cells that a command works on: the user's, or those of the simulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evenkeel_recipes.deconvolution.config import CellsConfig
from evenkeel_recipes.deconvolution.data.reference import (
    FEW_CELLS,
    Reference,
    counted_in,
    few_cells,
    read_reference,
    variable_genes,
)
from evenkeel_recipes.deconvolution.data.simulator import draw_cells, make_world

SIMULATED_CELLS = 6000


def read_cells_of(config: CellsConfig, tell: Callable[[str], object]) -> Reference:
    """The reference in the genes that are kept. `tell` is given what the user ought to know about it.

    Raises:
        Refused: as `read_reference`, or too many cells have no count in the genes that are kept.
    """
    if config.reference is None:
        whole = draw_cells(make_world(config.seed), SIMULATED_CELLS, config.seed)
    else:
        whole = _read(config.reference, config)
    kept = counted_in(whole, variable_genes(whole, config.n_genes))
    if lost := sorted(set(whole.cells) - set(kept.cells)):
        tell(f"{len(lost)} cells are left out, which have no count in the genes that are kept: {', '.join(lost[:5])}")
    tell(f"{len(kept.cells):,} cells of {len(kept.types)} types, {len(kept.genes):,} of {len(whole.genes):,} genes")
    if few := few_cells(kept):
        tell(f"fewer than {FEW_CELLS} cells of {', '.join(few)}: what is said about them hangs on single cells")
    return kept


def _read(path: Path, config: CellsConfig) -> Reference:
    return read_reference(
        path,
        config.cell_type_key,
        config.counts_layer,
        config.donor_key,
        config.max_cells_per_type,
        config.seed,
        config.gene_key,
    )
