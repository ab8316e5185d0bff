"""Names of genes, by which two files have to find one another."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

VERSIONED = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+$")


def spelled(names: Iterable[str]) -> NDArray[np.str_]:
    """Names as they are compared: identifiers of Ensembl without the version behind the point."""
    return np.array([VERSIONED.sub(r"\1", name) for name in names])


def summed(counts: sparse.csr_matrix, names: NDArray[np.str_]) -> tuple[sparse.csr_matrix, tuple[str, ...]]:
    """Columns of one name added up, where the first of them stands; [cells, names] and the names, each once."""
    unique, first, place = np.unique(names, return_index=True, return_inverse=True)
    if len(unique) == len(names):
        return counts, tuple(map(str, names))
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    each = sparse.csr_matrix((np.ones(len(names), np.float32), (np.arange(len(names)), rank[place])))
    return (counts @ each).tocsr(), tuple(map(str, unique[order]))
