"""Which cells train, which validate, and which are kept away to judge by."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Wanted, parse_holdouts
from evenkeel_recipes.virtual_cell.cells.data import Rows, Study
from evenkeel_recipes.virtual_cell.config import PRESETS

LEAST_CELLS = 4  # of a held-out condition: two halves of two
VALIDATION_SHARE = 0.1
RANDOM_SHARE = 0.25
PRESET_SHARE = 0.3
EMBEDDED = ("P1+P2", "P5+P6", "P3@T3")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A treatment in a cell type, no cell of which was trained on (all kinds but "random")."""

    treatment: int
    cell_type: int
    cells: Rows
    kind: str


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a study, each in one part.

    Attributes:
        train, validation: cells to learn from, and to watch the learning by.
        controls: control cells that nothing is learnt from: measured effects are taken against these, so that
            predicted and measured effects share no noise.
        held_out: what is judged.
    """

    train: Rows
    validation: Rows
    controls: Rows
    held_out: tuple[HeldOut, ...]

    @property
    def learnt(self) -> Rows:
        """Rows that something was learnt from: by training, or by watching it."""
        return np.sort(np.concatenate([self.train, self.validation]))


def split_study(study: Study, wanted: Sequence[Wanted], at_random: bool, seed: int) -> Split:  # noqa: FBT001  a kind of data
    """Keep the wanted conditions from training, and half of the control cells of each type; or cells at random.

    Raises:
        Refused: a wanted condition has too few cells, or a type has no control to measure its effect against.
    """
    rng = np.random.default_rng(seed)
    held = _random(study, rng) if at_random else _by_condition(study, wanted)
    controls = _half_of_controls(study, rng)
    away = np.zeros(len(study), dtype=bool)
    away[controls] = True
    for one in held:
        away[one.cells] = True
    left = rng.permutation(np.flatnonzero(~away))
    n_validation = int(VALIDATION_SHARE * len(left))
    split = Split(np.sort(left[n_validation:]), np.sort(left[:n_validation]), controls, _with_kinds(study, held, left))
    _refuse_unjudgeable(study, split)
    return split


def wanted_of(study: Study, holdout: Sequence[str], split: str | None, seed: int) -> tuple[Wanted, ...]:
    """What `--holdout` and `--split` ask for; nothing for a random split.

    Raises:
        Refused: a name that is none, or a preset that this study has no condition for.
    """
    if split in PRESETS:
        return () if split == "random" else _preset(study, split, np.random.default_rng(seed))
    lines = _lines(Path(split)) if split else []
    return parse_holdouts([*holdout, *lines], study.vocabulary)


def trained_perturbations(study: Study, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """[perturbations] bool, whether some of these cells have it."""
    seen = np.unique(study.treatment[rows])
    return np.asarray((study.codes[seen] != 0).any(0))


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise Refused(f"--split {path}: no such file, and none of {', '.join(PRESETS)}")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]


def _preset(study: Study, preset: str, rng: np.random.Generator) -> tuple[Wanted, ...]:
    singles = {t.singles[0] for t in study.treatments if len(t.singles) == 1}
    if preset == "leave_context":
        kind = study.vocabulary.cell_types[-1]
        return tuple(Wanted(t, kind) for t in study.treatments if not t.is_control)
    if preset == "unseen_single":
        found = [t for t in study.treatments if len(t.singles) == 1]
    else:
        known = int(preset[-1])
        found = [t for t in study.treatments if len(t.singles) > 1 and sum(s in singles for s in t.singles) == known]
    if not found:
        raise Refused(f"--split {preset}: this study has no such treatment; name some with --holdout")
    chosen = rng.permutation(len(found))[: max(1, round(PRESET_SHARE * len(found)))]
    return tuple(Wanted(found[place], None) for place in sorted(chosen))


def _by_condition(study: Study, wanted: Sequence[Wanted]) -> list[HeldOut]:
    place = {treatment: row for row, treatment in enumerate(study.treatments)}
    held = []
    for one in wanted:
        name = study.vocabulary.name(one.treatment)
        rows = [row for t, row in place.items() if t.singles == one.treatment.singles]
        kinds = [one.cell_type] if one.cell_type else study.vocabulary.cell_types
        for row in rows:
            for kind in kinds:
                cells = study.cells_of(row, study.vocabulary.cell_types.index(kind))
                if len(cells):
                    held.append(HeldOut(row, study.vocabulary.cell_types.index(kind), cells, ""))
        if not any(h.treatment in rows for h in held):
            raise Refused(f"--holdout {name}: no cell has it; there are {_names(study)}")
    return held


def _random(study: Study, rng: np.random.Generator) -> list[HeldOut]:
    held = []
    for treatment in range(len(study.treatments)):
        for kind in range(len(study.vocabulary.cell_types)):
            cells = rng.permutation(study.cells_of(treatment, kind))
            n_held = int(RANDOM_SHARE * len(cells))
            if treatment != study.control and n_held >= LEAST_CELLS:
                held.append(HeldOut(treatment, kind, np.sort(cells[:n_held]), "random"))
    return held


def _half_of_controls(study: Study, rng: np.random.Generator) -> Rows:
    halves = []
    for kind in range(len(study.vocabulary.cell_types)):
        cells = rng.permutation(study.cells_of(study.control, kind))
        halves.append(cells[: len(cells) // 2])
    return np.sort(np.concatenate(halves))


def _with_kinds(study: Study, held: Sequence[HeldOut], left: Rows) -> tuple[HeldOut, ...]:
    learnt = {study.treatments[row] for row in np.unique(study.treatment[left])}
    return tuple(replace(one, kind=one.kind or kind_of(study.treatments[one.treatment], learnt)) for one in held)


def kind_of(treatment: Treatment, learnt: Collection[Treatment]) -> str:
    """Which kind of question a treatment is in a type that it was not trained on in, to who learnt from these."""
    if treatment in learnt:
        return "leave_context"
    if len(treatment.singles) > 1:
        alone = {known.singles[0] for known in learnt if len(known.singles) == 1}
        return f"combo_seen{sum(single in alone for single in treatment.singles)}"
    parts = {single for known in learnt for single in known.singles}
    return "single_in_combinations" if parts.issuperset(treatment.singles) else "unseen_single"


def refuse_untrainable(study: Study, split: Split) -> None:
    """Refuse a split of which nothing can be learnt.

    Raises:
        Refused: no cell, or no perturbed cell, is left to train on.
    """
    if not len(split.train):
        raise Refused("no cell is left to train on; hold out fewer treatments")
    if not (study.treatment[split.train] != study.control).any():
        raise Refused("all perturbed cells are held out; nothing is left to learn an effect from")


def _refuse_unjudgeable(study: Study, split: Split) -> None:
    words = study.vocabulary
    for held in split.held_out:
        name = study.condition(held.treatment, held.cell_type)
        controls = split.controls[study.cell_type[split.controls] == held.cell_type]
        if len(held.cells) < LEAST_CELLS:
            raise Refused(
                f"{name} has {len(held.cells)} cells; at least {LEAST_CELLS} are needed to judge by (two halves of two)"
            )
        if len(controls) < LEAST_CELLS // 2:
            raise Refused(
                f"{name}: {words.cell_types[held.cell_type]} has {len(controls)} control cells to judge by after "
                "halving; 2 at least are needed in each half"
            )
    if not split.held_out:
        raise Refused(
            f"no treatment has cells enough for {LEAST_CELLS} of a type to be held out at random, a quarter of them; "
            "name some with --holdout, or leave whole ones out by a preset of --split"
        )


def _names(study: Study) -> str:
    return ", ".join(map(study.vocabulary.name, study.treatments))
