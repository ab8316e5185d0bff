"""The simulated screen is what its truth says."""

from __future__ import annotations

import numpy as np

from evenkeel_recipes.virtual_cell.cells.simulate import INTERACTING, PAIRS, simulate


def test_counts_have_the_mean_and_variance_of_their_truth() -> None:
    """Mean l rho, variance mean + mean^2 / theta, over many cells."""
    study, truth = simulate(3, n_genes=30, cells_each=400)
    of = study.cells_of(2, 1)
    mean = study.library[of, None] * np.exp(truth.log_share[2, 1, study.batch[of]])
    counts = study.counts[of].toarray()
    assert np.abs(((counts - mean).mean(0)) / np.sqrt((mean + mean**2 / truth.theta).mean(0) / len(of))).max() < 6
    ratio = ((counts - mean) ** 2).sum(0) / (mean + mean**2 / truth.theta).sum(0)
    assert 0.7 < np.median(ratio) < 1.3


def test_four_of_five_combinations_are_additive() -> None:
    """In log shares, but for what the shares have to add up to; the fifth has an interaction."""
    study, truth = simulate(0, n_genes=50)
    place = {t.singles: row for row, t in enumerate(study.treatments)}
    found = []
    for pair in PAIRS:
        log_share = truth.log_share
        excess = log_share[place[pair]] - sum(log_share[place[(name,)]] for name in pair) + log_share[place[()]]
        found.append(float((excess - excess.mean(-1, keepdims=True)).std()))
    assert [spread > 1e-6 for spread in found] == [pair == INTERACTING for pair in PAIRS]


def test_the_same_seed_gives_the_same_cells() -> None:
    """And another seed others."""
    first, again, other = (simulate(seed, 20, 5)[0].counts for seed in (1, 1, 2))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0
