"""Names of a model and names of data: the same in the same order, or matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary, unknown_perturbation
from evenkeel_recipes.virtual_cell.cells.data import Rows, Study

KINDS = ("genes", "perturbations", "batches", "cell_types")
SHOWN = 8


def same_names(mine: Vocabulary, others: Vocabulary) -> None:
    """Refuse parameters that were trained for other names (`others`), or for the same in another order.

    Raises:
        Refused: with the first name that differs.
    """
    for kind in KINDS:
        here, there = getattr(mine, kind), getattr(others, kind)
        if here != there:
            how = "in another order" if sorted(here) == sorted(there) else f"{len(here)} here, {len(there)} there"
            raise Refused(
                f"the checkpoint was trained for other {kind} ({how}): {_first_difference(here, there)}; go by their "
                "names with --remap, give the data that it was trained on, or train anew"
            )
    for what, here, there in (
        ("control label", mine.control, others.control),
        ("separator of combinations", mine.separator, others.separator),
    ):
        if here != there:
            raise Refused(f"the checkpoint was trained with {there!r} as {what}, not {here!r}")


def as_they_are(study: Study, words: Vocabulary) -> Study:
    """The study, whose names are those of the model in their order.

    Raises:
        Refused: they are not.
    """
    same_names(study.vocabulary, words)
    return study


def remapped(study: Study, words: Vocabulary) -> Study:
    """The study with genes, batches, cell types and perturbations in the places that a model has for their names.

    Genes that the model does not know are left out, and that is said.

    Raises:
        Refused: a gene of the model is missing, or a perturbation, batch or type is one that the model does not know.
    """
    own = study.vocabulary
    for single in own.perturbations:
        if single not in words.perturbations:
            raise Refused(unknown_perturbation(single, words.perturbations))
    counts = study.counts[:, places_of(own.genes, words.genes, "gene")].tocsr()
    counts.sort_indices()  # as in a file of this order
    empty = np.flatnonzero(np.diff(counts.indptr) == 0)
    if len(empty):
        raise Refused(f"{len(empty)} cells have no count in the model's genes, the first is {study.names[empty[0]]}")
    left_out = len(own.genes) - len(words.genes)
    said = (f"{left_out} genes that the model does not know are left out",) if left_out else ()
    return replace(
        study, vocabulary=words, counts=counts, features=_features(study, words),
        batch=_renumbered(study.batch, own.batches, words.batches, "batch"),
        cell_type=_renumbered(study.cell_type, own.cell_types, words.cell_types, "cell type"),
        notices=(*study.notices, *said),
    )  # fmt: skip


def places_of(present: Sequence[str], wanted: Sequence[str], what: str) -> Rows:
    """Where each of the wanted names stands among those present.

    Raises:
        Refused: some are not there.
    """
    place = {name: number for number, name in enumerate(present)}
    if missing := [name for name in wanted if name not in place]:
        more = ", …" if len(missing) > SHOWN else ""
        raise Refused(
            f"{len(missing)} of {len(wanted)} names for a {what} are missing: {', '.join(missing[:SHOWN])}{more}; "
            f"there are {', '.join(present[:SHOWN])}{', …' if len(present) > SHOWN else ''}"
        )
    return np.array([place[name] for name in wanted], dtype=np.int64)


def _renumbered(numbers: Rows, own: Sequence[str], words: Sequence[str], what: str) -> Rows:
    return places_of(words, own, what)[numbers]


def _features(study: Study, words: Vocabulary) -> NDArray[np.float32]:
    own = study.vocabulary.perturbations
    if np.array_equal(study.features, np.eye(len(own))):  # names alone
        return np.eye(len(words.perturbations), dtype=np.float32)
    return study.features[places_of(own, words.perturbations, "perturbation with features")]


def _first_difference(here: Sequence[str], there: Sequence[str]) -> str:
    pairs = enumerate(zip_longest(there, here, fillvalue="nothing"), start=1)
    number, (theirs, mine) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    return f"number {number} is {theirs} in the checkpoint and {mine} here"
