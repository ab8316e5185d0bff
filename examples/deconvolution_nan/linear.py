"""The linear answer: counts mix linearly, and big cells give more counts than small ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from data import NUM_TRAIN, Ints, Mixtures, Study, mix, split_by_halves
from model import sum_by_type
from torch import Tensor

EM_UPDATES = 200
NUM_HALVINGS = 8
SMOOTHING = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What each type looks like, measured on labelled cells."""

    signature: Tensor  # [types, genes], rows sum to 1
    cell_size: Tensor  # [types], mean counts of a cell


def measure_reference(study: Study, cells: Ints) -> Reference:
    """Measure signature and cell size of every type on the given cells."""
    labels, num_types = study.labels[cells], len(study.types)
    counts_of_type = sum_by_type(study.counts[cells], labels, num_types)
    total = counts_of_type.sum(dim=1)
    overall = counts_of_type.sum(dim=0) / total.sum()
    return Reference(
        # a little of the overall profile in every type: no seen gene is impossible in any type
        signature=(1 - SMOOTHING) * counts_of_type / total[:, None] + SMOOTHING * overall,
        cell_size=total / torch.bincount(labels, minlength=num_types),
    )


def unmix(bulk: Tensor, reference: Reference, num_updates: int = EM_UPDATES) -> Tensor:
    """Return cell proportions: non-negative shares of the counts by EM updates, then divided by cell size."""
    seen = reference.signature.sum(dim=0) > 0
    signature, counts = reference.signature[:, seen], bulk[:, seen]
    composition = counts / counts.sum(dim=1, keepdim=True)
    share = bulk.new_full((len(bulk), len(signature)), 1 / len(signature))
    for _ in range(num_updates):
        share = share * ((composition / (share @ signature)) @ signature.T)
    cells = share / reference.cell_size
    return cells / cells.sum(dim=1, keepdim=True)


def anchor(bulk: Tensor, reference: Reference) -> Tensor:
    """Return the linear answer as logits, for a network to start from."""
    return torch.log(unmix(bulk, reference) + SMOOTHING)


def mix_by_halves(study: Study, seed: int) -> list[tuple[Mixtures, Ints]]:
    """Mix one half of the training cells and keep the other half for the reference, several times."""
    rng = np.random.default_rng(seed)
    counts, labels = study.counts.numpy().astype(np.int64), study.labels.numpy()
    rounds: list[tuple[Mixtures, Ints]] = []
    for turn in range(NUM_HALVINGS):
        halves = split_by_halves(labels, study.train_cells, rng)
        mixed, kept = halves if turn % 2 else reversed(halves)
        rounds.append((mix(counts, labels, mixed, NUM_TRAIN // NUM_HALVINGS, rng), kept))
    return rounds


def anchored_bulks(study: Study, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return bulk, proportions and anchors to train on.

    No reference is measured on the cells that were mixed: that would make the anchor look better than it is.
    """
    rounds = mix_by_halves(study, seed)
    bulk = torch.cat([mixtures.bulk for mixtures, _ in rounds])
    proportions = torch.cat([mixtures.proportions for mixtures, _ in rounds])
    anchors = [anchor(mixtures.bulk, measure_reference(study, kept)) for mixtures, kept in rounds]
    return bulk, proportions, torch.cat(anchors)
