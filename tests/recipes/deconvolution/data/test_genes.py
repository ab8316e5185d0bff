"""Names of genes of two files: identifiers with versions, names that stand twice."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from evenkeel_recipes.deconvolution.data.genes import spelled, summed


def test_versions_of_ensembl_do_not_count() -> None:
    names = ["ENSG00000141510.17", "ENSMUSG00000059552.8", "TP53", "RP11-34P13.7", "ENSG00000182378.15_PAR_Y"]
    assert spelled(names).tolist() == ["ENSG00000141510", "ENSMUSG00000059552", *names[2:4], names[4]]


def test_columns_of_one_name_are_added_where_the_first_stands() -> None:
    counts = sparse.csr_matrix(np.arange(8, dtype=np.float32).reshape(2, 4))
    found, names = summed(counts, np.array(["b", "a", "b", "c"]))
    assert names == ("b", "a", "c")
    assert found.toarray().tolist() == [[2, 1, 3], [10, 5, 7]]
    same, names = summed(counts, np.array(["d", "a", "b", "c"]))
    assert names == ("d", "a", "b", "c")
    assert (same != counts).nnz == 0
