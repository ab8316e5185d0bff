"""The planted stimulation is what its plan says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.virtual_cell.cells.stimulation import Plan, base_of_file, simulated_base, stimulated

PBMC = Path(__file__).parents[5] / "shared/data/single_cell/pbmc68k_reduced.h5ad"


def effects(plan: Plan) -> tuple[np.ndarray, np.ndarray]:
    """True log fold changes [types, genes], but for what shares have to add up to; and lineages."""
    base = simulated_base(500, 1)
    log_share = stimulated(plan, base, 2, 1)[1].log_share
    change = log_share[1, :, 0] - log_share[0, :, 0]
    return change - np.median(change, 1, keepdims=True), base.lineage


def test_shared_genes_respond_everywhere_and_own_ones_in_one_lineage() -> None:
    """As many as planned."""
    change, lineage = effects(Plan("", shared=40, own=30))
    responds = np.abs(change) > 1e-9
    assert responds[lineage < 3].sum(1).tolist() == [40] * 5
    assert responds[lineage == 3].sum(1).tolist() == [70] * 3
    assert np.abs(change).max() < 10


def test_induced_genes_reach_one_level_and_weak_types_respond_half() -> None:
    """Whatever they began at."""
    base = simulated_base(500, 1)
    truth = stimulated(Plan("", shared=40, induced=40), base, 2, 1)[1].log_share[:, :, 0]
    up = (truth[1] - truth[0]).mean(0) > 1
    assert up.sum() > 10
    assert truth[1][:, up].std(0).mean() < 0.6 * truth[0][:, up].std(0).mean()
    change, _ = effects(Plan("", shared=60, weak=3))
    strength = np.abs(change).sum(1)
    assert (strength < 0.75 * np.median(strength)).sum() == 3


def test_depth_and_donors_are_as_planned() -> None:
    """Stimulated cells with 0.6 of the counts, three batches."""
    study, _ = stimulated(Plan("", depth=0.6, donors=3), simulated_base(100, 1), 30, 1)
    ratio = [
        np.mean(study.library[study.cells_of(1, k)]) / np.mean(study.library[study.cells_of(0, k)]) for k in range(8)
    ]
    assert np.mean(ratio) == pytest.approx(0.6, abs=0.05)
    assert set(study.batch.tolist()) == {0, 1, 2}
    assert [len(study.cells_of(0, kind)) for kind in range(8)] == [len(study.cells_of(1, kind)) for kind in range(8)]


def test_the_same_seed_gives_the_same_stimulated_cells() -> None:
    """And another seed others."""
    base = simulated_base(50, 0)
    first, again, other = (stimulated(Plan(""), base, 2, seed)[0].counts for seed in (1, 1, 2))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0


@pytest.mark.skipif(not PBMC.is_file(), reason=f"{PBMC.name} is not here; it is for tests only")
def test_types_of_a_file_keep_their_profiles() -> None:
    """The eight largest; shares add up to 1, and monocytes are told apart by what tells them apart."""
    base = base_of_file(PBMC)
    assert len(base.names) == 8
    assert np.exp(base.log_share).sum(1) == pytest.approx(1)
    assert [name for name, late in zip(base.names, base.lineage, strict=True) if late] == [
        "CD14+ Monocyte",
        "Dendritic",
    ]
    lyz = base.log_share[:, base.genes.index("LYZ")]
    assert lyz[base.lineage == 1].min() > lyz[base.lineage == 0].max()
