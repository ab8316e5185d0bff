"""What a model has learnt from, and what is said of scores on anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.chosen import split_of
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.learnt import Learnt, asked_of_model, cautions, learnt_from, learnt_of
from evenkeel_recipes.virtual_cell.cells.split import Split
from evenkeel_recipes.virtual_cell.training.material import Material


def judged(learnt: Learnt, study: Study, split: Split) -> tuple[list[str], str]:
    """Kinds of question, and what is said of them."""
    split = asked_of_model(learnt, study, split)
    return [held.kind for held in split.held_out], " ".join(cautions(learnt, study, split))


def test_it_is_written_down_and_read_again(material: Material) -> None:
    """Conditions by their names; what was held out is not among them, other types of it are."""
    learnt = learnt_from(material.study, material.split)
    assert learnt_of({"learnt": json.loads(json.dumps(as_mapping(learnt)))}) == learnt
    single, both = Treatment(("P3",)), Treatment(("P1", "P2"))
    assert {(Treatment(()), "T1"), (single, "T1"), (single, "T2")} <= set(learnt.conditions)
    assert not {(single, "T3"), (both, "T1")} & set(learnt.conditions)
    with pytest.raises(Refused, match="does not say what it was trained on"):
        learnt_of({})


def test_the_runs_own_split_needs_no_caution(
    material_of: Callable[..., Material], study: Study, tmp_path: Path
) -> None:
    """Nor do cells held out at random, of conditions that were trained on, unless they are shared out anew."""
    material = material_of(study, tmp_path, holdout=(), split="random")
    learnt = learnt_from(study, material.split)
    kinds, said = judged(learnt, study, material.split)
    assert set(kinds) == {"random"}
    assert said == ""
    kinds, said = judged(learnt, study, split_of(study, replace(material.config, seed=1)))
    assert set(kinds) == {"trained_on"}
    assert f"{len(kinds)} of {len(kinds)} conditions were trained on" in said
    assert said.count("@") == 8
    assert "effects are measured against other controls than the run left for that" in said


def test_controls_that_the_run_left_need_no_caution(material: Material) -> None:
    """Of the same cells where only what is held out differs; and all of other cells."""
    study, split = material.study, material.split
    learnt = learnt_from(study, split)
    kinds, said = judged(learnt, study, split_of(study, replace(material.config, holdout=("P4@T2", "P1+P2"))))
    assert kinds == ["trained_on", *["combo_seen2"] * 3]
    assert "1 of 4 conditions were trained on" in said
    assert "other controls" not in said
    fewer = study.take(np.arange(0, len(study), 2))
    kinds, said = judged(learnt, fewer, split_of(fewer, material.config))
    assert kinds == [held.kind for held in split.held_out]
    assert "not the run's own cells and split: baselines go by" in said
    assert "were trained on, so" not in said
    assert "other controls" not in said
    deeper = replace(study, counts=2 * study.counts)  # as many cells, shared out alike
    assert "not the run's own cells and split" in judged(learnt, deeper, split)[1]
