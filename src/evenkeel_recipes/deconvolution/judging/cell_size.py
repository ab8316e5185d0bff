"""What a cell of each type holds of mRNA, by which shares of it become fractions of the cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.data.bulk import read_text
from evenkeel_recipes.deconvolution.judging.estimate import Estimated
from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]
CONTENTS: Mapping[str, Callable[[Array], Array]] = {"reference": lambda content: content, "ones": np.ones_like}


def content_of(asked: str, reference: Array, types: Sequence[str]) -> Array:
    """The mRNA of a cell, [types] float64: "reference": as measured there; "ones": alike; else a file with it.

    Raises:
        Refused: the file is no table of types and counts, or lacks a type.
    """
    return CONTENTS[asked](reference) if asked in CONTENTS else _read_content(Path(asked), types)


def recounted(estimated: Estimated, before: Array, content: Array) -> Estimated:
    """The same shares of mRNA as fractions of cells that hold `content` and not what they held `before`.

    The bounds of an interval grow as its fraction does; they were calibrated for the content before.
    """
    grown = before / content
    mass = estimated.fractions.sum(1, keepdims=True) / (estimated.fractions * grown).sum(1, keepdims=True)
    fractions, lower, upper = (
        each * (grown * mass) for each in (estimated.fractions, estimated.lower, estimated.upper)
    )
    return replace(estimated, fractions=fractions, lower=lower, upper=np.minimum(upper, 1))


def _read_content(path: Path, types: Sequence[str]) -> Array:
    if not path.is_file():
        raise Refused(f"--cell-size: there is no file {path}; allowed are {', '.join(CONTENTS)} or a file")
    table = read_text(path)
    if table.shape[1] != 1:
        raise Refused(f"{path}: {table.shape[1] + 1} columns; two are needed, type and counts")
    given = table.iloc[:, 0].set_axis(table.index.astype(str))
    if given.index.has_duplicates:
        raise Refused(f"{path}: types stand there more than once, such as {given.index[given.index.duplicated()][0]}")
    missing = [kind for kind in types if kind not in given.index]
    if missing:
        raise Refused(f"{path}: no counts of {', '.join(missing)}; it has {', '.join(given.index)}")
    content = np.asarray(pd.to_numeric(given[list(types)], errors="coerce"), dtype=np.float64)
    for kind, value in zip(types, content, strict=True):
        if not (np.isfinite(value) and value > 0):
            raise Refused(f"{path}: counts of {kind} are {given[kind]!r}; a number above 0 is needed")
    return content
