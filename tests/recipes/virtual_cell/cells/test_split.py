"""No cell is on both sides, and what kind of question each held-out condition is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.split import Split, refuse_untrainable, split_study, wanted_of


def splitted(study: Study, *holdout: str, split: str | None = None) -> Split:
    """The split that these options give."""
    wanted = wanted_of(study, holdout, split, 0)
    return split_study(study, wanted, not wanted, 0)


@pytest.mark.parametrize("holdout", [("P1+P2", "P3@T3"), ()])
def test_each_cell_is_in_one_part(study: Study, holdout: str) -> None:
    """Trained on, validated on, held out, or a control that only judges."""
    split = splitted(study, *holdout)
    parts = [split.train, split.validation, split.controls, *(held.cells for held in split.held_out)]
    together = np.concatenate(parts)
    assert len(np.unique(together)) == len(together) == len(study)


def test_controls_are_halved_within_each_type(study: Study) -> None:
    """One half to learn from, one to judge by."""
    split = splitted(study, "P1+P2")
    controls = np.flatnonzero(study.treatment == study.control)
    for kind in range(3):
        judging = (study.cell_type[split.controls] == kind).sum()
        assert judging == (study.cell_type[controls] == kind).sum() // 2


@pytest.mark.parametrize(
    ("holdout", "kinds"),
    [
        (("P1+P2",), {"combo_seen2"}),
        (("P1+P2", "P1"), {"combo_seen1", "single_in_combinations"}),
        (("P4", "P4+P2"), {"combo_seen1", "unseen_single"}),
        (("P5+P6", "P5", "P6", "P3+P5"), {"combo_seen0", "unseen_single", "combo_seen1"}),
        (("P2@T1",), {"leave_context"}),
    ],
)
def test_kinds_of_questions(study: Study, holdout: tuple[str, ...], kinds: set[str]) -> None:
    """By what was seen alone, together, or elsewhere."""
    assert {held.kind for held in splitted(study, *holdout).held_out} == kinds


@pytest.mark.parametrize("preset", ["combo_seen2", "unseen_single", "leave_context", "random"])
def test_presets_hold_out_something(study: Study, preset: str) -> None:
    """Some conditions of that kind, the same for the same seed."""
    held = splitted(study, split=preset).held_out
    assert held
    assert [h.treatment for h in held] == [h.treatment for h in splitted(study, split=preset).held_out]


def test_a_file_of_holdouts(study: Study, tmp_path: Path) -> None:
    """One a line; lines with # are comments."""
    (tmp_path / "split.txt").write_text("# held out\nP1+P2\n\nP3@T1\n")
    assert len(splitted(study, split=str(tmp_path / "split.txt")).held_out) == 4


def test_what_cannot_be_judged_is_refused(study: Study) -> None:
    """Too few cells, no such treatment, no such split; nothing left, where it is to be trained by."""
    thin = study.take(np.concatenate([np.flatnonzero(study.treatment != 1), study.cells_of(1, 0)[:1]]))
    with pytest.raises(Refused, match=r"P1@T1 has 1 cells; at least 4 are needed"):
        splitted(thin, thin.vocabulary.name(thin.treatments[1]))
    with pytest.raises(Refused, match=r"--holdout P1.P6: no cell has it; there are control"):
        splitted(study, "P1+P6")
    everything = splitted(study, *(study.vocabulary.name(t) for t in study.treatments if t.singles))
    with pytest.raises(Refused, match="all perturbed cells are held out"):
        refuse_untrainable(study, everything)
    with pytest.raises(Refused, match="no such file, and none of combo_seen2"):
        splitted(study, split="nothing")
