"""Names in another order are refused with the first that differs, or matched by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.names import as_they_are, remapped, same_names

WORDS = Vocabulary(("g", "h"), ("A", "B", "C"), ("b",), ("T", "U"), "ctrl", "+")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"perturbations": ("A", "C", "B")},
            r"other perturbations \(in another order\): number 2 is C in .* and B here",
        ),
        ({"genes": ("g",)}, r"other genes \(2 here, 1 there\): number 2 is nothing in the checkpoint and h here"),
        ({"cell_types": ("U", "T")}, r"other cell_types .*--remap"),
        ({"batches": ("c",)}, "number 1 is c in the checkpoint and b here"),
        ({"control": "DMSO"}, "with 'DMSO' as control label, not 'ctrl'"),
        ({"separator": "_"}, "with '_' as separator"),
    ],
)
def test_other_names_are_refused(changed: dict[str, object], says: str) -> None:
    """With what to do; the same names are not."""
    with pytest.raises(Refused, match=says):
        same_names(WORDS, replace(WORDS, **changed))
    same_names(WORDS, WORDS)


def turned(study: Study) -> Study:
    """The same cells, with every list of names the other way round."""
    words = study.vocabulary
    back = replace(
        words, genes=words.genes[::-1], perturbations=words.perturbations[::-1], batches=words.batches[::-1],
        cell_types=words.cell_types[::-1],
    )  # fmt: skip
    return replace(
        study,
        vocabulary=back,
        counts=study.counts[:, ::-1].tocsr(),
        batch=1 - study.batch,
        cell_type=2 - study.cell_type,
    )


def test_cells_are_the_same_by_their_names(study: Study) -> None:
    """Counts, codes, batches and types to the bit; without --remap they are refused."""
    with pytest.raises(Refused, match="other genes"):
        as_they_are(turned(study), study.vocabulary)
    found = remapped(turned(study), study.vocabulary)
    assert (found.counts != study.counts).nnz == 0
    assert found.vocabulary == study.vocabulary
    assert np.array_equal(found.codes[found.treatment], study.codes[study.treatment])
    assert np.array_equal(found.batch, study.batch)
    assert np.array_equal(found.cell_type, study.cell_type)
    assert found.notices == ()


def test_cells_from_a_file_of_another_order_are_known_again(study: Study, rng: np.random.Generator) -> None:
    """What tells studies apart is the same, though a file keeps the counts of each cell in its own order."""
    order, words = rng.permutation(study.counts.shape[1]), study.vocabulary
    counts = study.counts[:, order].tocsr()
    counts.sort_indices()
    other = replace(study, counts=counts, vocabulary=replace(words, genes=tuple(words.genes[gene] for gene in order)))
    assert other.sha256 != study.sha256
    assert remapped(other, words).sha256 == study.sha256


def test_features_go_with_their_perturbations(study: Study) -> None:
    """Row by row."""
    features = np.arange(12, dtype=np.float32).reshape(6, 2)
    found = remapped(replace(turned(study), features=features[::-1].copy()), study.vocabulary)
    assert np.array_equal(found.features, features)


def test_what_cannot_be_matched_is_refused(study: Study) -> None:
    """A gene of the model, an unknown perturbation, type or batch, a cell that is left without counts."""
    words = study.vocabulary
    few = study.take(np.arange(3))
    for changed, says in (
        ({"genes": (*words.genes, "NEW")}, "1 of 41 names for a gene are missing: NEW"),
        ({"perturbations": words.perturbations[1:]}, "perturbation 'P1' was not among"),
        ({"cell_types": words.cell_types[1:]}, "1 of 3 names for a cell type are missing: T1; there are T2, T3"),
        ({"batches": ("B1",)}, "names for a batch are missing: B2"),
        ({"genes": ("NONE",)}, "names for a gene are missing: NONE"),
    ):
        with pytest.raises(Refused, match=says):
            remapped(few, replace(words, **changed))
    rare = int(np.argmin(np.asarray((study.counts > 0).sum(0)).ravel()))
    with pytest.raises(Refused, match="cells have no count in the model's genes, the first is cell"):
        remapped(study, replace(words, genes=(words.genes[rare],)))
    assert (
        "39 genes that the model does not know are left out"
        in remapped(
            study.take(np.flatnonzero(np.asarray(study.counts[:, [rare]].todense()).ravel() > 0)),
            replace(words, genes=(words.genes[rare],)),
        ).notices
    )
