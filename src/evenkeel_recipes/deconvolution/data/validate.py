"""Whether samples can be trained on: what is wrong is named with its file, row and gene."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.data.mixtures import TARGET_SUM
from evenkeel_recipes.deconvolution.data.reference import Reference
from evenkeel_recipes.kit.checklist import Check, checked, insist, noted
from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]
View = NDArray[np.float32]
HIGHEST = float(np.log1p(TARGET_SUM)) + 1e-4
SUM_WITHIN = 1e-6


def validate(path: Path, view: View, fractions: Array, reference: Reference) -> None:
    """Samples and proportions that can be trained on.

    Raises:
        Refused: the first thing that is wrong, with file, row and gene.
    """
    if view.shape[1] != len(reference.genes) or fractions.shape != (len(view), len(reference.types)):
        raise Refused(
            f"{path}: samples {view.shape} and proportions {fractions.shape} do not go with {len(reference.genes)} "
            f"genes and {len(reference.types)} types"
        )
    insist(of_bulk(path, view, reference.genes))
    insist(of_proportions(path.with_name(path.name.replace("bulk", "props")), fractions))


def of_bulk(path: Path, view: View, genes: Sequence[str]) -> Iterator[Check]:
    """What samples [samples, genes] in log1p of counts per ten thousand must not have."""
    above = f"above {HIGHEST:.4f}, the highest log1p of counts per ten thousand: not normalised? The largest is {{}}"
    tests: tuple[tuple[str, Callable[[View], NDArray[np.bool_]], str], ...] = (
        ("NaN", np.isnan, "NaN"),
        ("Inf", np.isinf, "infinite"),
        ("sign", lambda values: values < 0, "negative"),
        ("range", lambda values: (values > HIGHEST) & (values < np.inf), above),
    )
    for what, is_bad, words in tests:
        yield checked(f"Bulk {what}", _first_value(path, view, is_bad(view), genes, words))
    empty = np.flatnonzero((view == 0).all(1))
    yield checked("Bulk rows", _first_row(path, empty, "samples have no count at all"))


def of_proportions(path: Path, fractions: Array) -> Iterator[Check]:
    """What proportions [samples, types] must not have."""
    for what, bad, words in (
        ("NaN", np.isnan(fractions), "NaN"),
        ("Inf", np.isinf(fractions), "infinite"),
        ("sign", fractions < 0, "negative"),
    ):
        rows = np.flatnonzero(bad.any(1))
        yield checked(f"Props {what}", _first_row(path, rows, f"samples have proportions that are {words}"))
    with np.errstate(invalid="ignore"):  # infinities of both signs were named above
        off = np.flatnonzero(~(np.abs(fractions.sum(1) - 1) <= SUM_WITHIN))
    yield checked("Props sum ~ 1.0", _first_row(path, off, "samples have proportions that do not sum to 1"))


def oddities_of_bulk(path: Path, view: View, genes: Sequence[str]) -> Iterator[Check]:
    """What is unusual and can be right."""
    least, most = view.min(0), view.max(0)
    yield noted("genes without counts", _some(path, np.flatnonzero(most == 0), genes, "genes are 0 in every sample"))
    constant = np.flatnonzero((least == most) & (most != 0))
    yield noted("constant genes", _some(path, constant, genes, "genes have the same value in every sample"))
    yield noted("duplicate rows", _duplicates(path, view))


def _first_value(path: Path, view: View, bad: NDArray[np.bool_], genes: Sequence[str], words: str) -> str:
    if not bad.any():
        return ""
    row, gene = np.argwhere(bad)[0]
    named = words.format(f"{view[bad].max():.6g}")
    return f"{path}: {int(bad.sum())} values are {named}; the first in row {row}, gene {genes[gene]}"


def _first_row(path: Path, rows: NDArray[np.int64], words: str) -> str:
    return f"{path}: {len(rows)} {words}, the first is row {rows[0]}" if len(rows) else ""


def _some(path: Path, places: NDArray[np.int64], genes: Sequence[str], words: str) -> str:
    return f"{path}: {len(places)} {words}, such as {genes[places[0]]}" if len(places) else ""


def _duplicates(path: Path, view: View) -> str:
    """By a digest of each row, so that no row is compared with all others."""
    seen: dict[bytes, int] = {}
    twice = []
    for row, values in enumerate(np.ascontiguousarray(view)):
        first = seen.setdefault(hashlib.sha256(values.tobytes()).digest(), row)
        if first != row:
            twice.append((first, row))
    return (
        f"{path}: {len(twice)} rows repeat an earlier one, the first is row {twice[0][1]} (as {twice[0][0]})"
        if twice
        else ""
    )
