"""What a model has learnt from, so that nobody takes for a prediction what it was trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment
from evenkeel_recipes.virtual_cell.cells.data import Rows, Study
from evenkeel_recipes.virtual_cell.cells.split import HeldOut, Split, kind_of

TRAINED_ON = "trained_on"  # the kind of question that is none
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Learnt:
    """Of a run: its cells, which of them it learnt from, which controls it left for judging, and all conditions.

    Attributes:
        cells, rows, controls: SHA-256.
        conditions: treatments with the cell type that they were trained on in.
    """

    cells: str
    rows: str
    controls: str
    conditions: tuple[tuple[Treatment, str], ...]


def learnt_from(study: Study, split: Split) -> Learnt:
    """What is learnt from by this split of these cells."""
    pairs = np.unique(np.stack([study.treatment[split.learnt], study.cell_type[split.learnt]]), axis=1).T.tolist()
    conditions = tuple((study.treatments[one], study.vocabulary.cell_types[kind]) for one, kind in pairs)
    return Learnt(study.sha256, _sha256(split.learnt), _sha256(split.controls), conditions)


def learnt_of(settings: Mapping[str, Any]) -> Learnt:
    """What a run wrote down.

    Raises:
        Refused: it did not.
    """
    if "learnt" not in settings:
        raise Refused("the model does not say what it was trained on: an earlier version wrote it; train anew")
    kept = settings["learnt"]
    conditions = tuple((Treatment(tuple(t["singles"]), t["dose"]), kind) for t, kind in kept["conditions"])
    return Learnt(kept["cells"], kept["rows"], kept["controls"], conditions)


def asked_of_model(learnt: Learnt, study: Study, split: Split) -> Split:
    """The split, with the kinds of question that its conditions are to the model, whatever these cells tell besides."""
    treatments = {treatment for treatment, _ in learnt.conditions}
    is_own = _is_own(learnt, study, split)

    def kind(held: HeldOut) -> str:
        treatment = study.treatments[held.treatment]
        if not is_own and (treatment, study.vocabulary.cell_types[held.cell_type]) in learnt.conditions:
            return TRAINED_ON
        return held.kind if is_own else kind_of(treatment, treatments)

    return replace(split, held_out=tuple(replace(held, kind=kind(held)) for held in split.held_out))


def cautions(learnt: Learnt, study: Study, split: Split) -> Iterator[str]:
    """Sentences about scores on other cells, or by another split, than the run's own; see `asked_of_model`."""
    if _is_own(learnt, study, split):
        return
    yield (
        f"not the run's own cells and split: baselines go by {len(split.learnt):,} of these cells, the model by those "
        "that it was trained on"
    )
    if seen := [study.condition(h.treatment, h.cell_type) for h in split.held_out if h.kind == TRAINED_ON]:
        more = ", …" if len(seen) > SHOWN else ""
        yield (
            f"{len(seen)} of {len(split.held_out)} conditions were trained on, so their scores are no prediction of "
            f"something new: {', '.join(seen[:SHOWN])}{more}"
        )
    if learnt.cells == study.sha256 and learnt.controls != _sha256(split.controls):
        yield "effects are measured against other controls than the run left for that: some were trained on"


def _is_own(learnt: Learnt, study: Study, split: Split) -> bool:
    return learnt.cells == study.sha256 and learnt.rows == _sha256(split.learnt)


def _sha256(rows: Rows) -> str:
    return hashlib.sha256(np.ascontiguousarray(rows, dtype=np.int64).tobytes()).hexdigest()
