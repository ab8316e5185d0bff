"""The control is zero, a combination is multi-hot, the order of its parts does not count."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Treatment, Vocabulary, codes, parse, parse_holdouts

WORDS = Vocabulary(("g",), ("A", "B", "C"), ("b",), ("T", "CD14+ Mono"), "ctrl", "+")
names = st.lists(st.sampled_from(["A", "B", "C"]), unique=True)


@given(names, st.randoms(use_true_random=False))
def test_order_of_parts_does_not_count(parts: list[str], random: Random) -> None:
    """A+B is B+A, and a control in a combination is nothing."""
    shuffled = random.sample(parts, len(parts))
    assert parse("+".join(parts), "ctrl", "+") == parse("+".join([*shuffled, "ctrl"]), "ctrl", "+")


@given(names)
def test_code_is_the_sum_of_those_of_its_parts(parts: list[str]) -> None:
    """So the control is the zero vector, which every model has seen."""
    alone = codes([Treatment((part,)) for part in parts], WORDS)
    assert np.array_equal(
        codes([WORDS.treatment("+".join(parts) or "ctrl")], WORDS)[0], alone.sum(0) if parts else np.zeros(3)
    )


def test_dose_multiplies() -> None:
    """The entry of a perturbation is its dose; a control has none."""
    assert codes([WORDS.treatment("A+C", 0.5), WORDS.treatment("ctrl", 0.5)], WORDS).tolist() == [
        [0.5, 0, 0.5],
        [0, 0, 0],
    ]


def test_unknown_perturbation_is_refused_with_those_that_are_known() -> None:
    """Nothing can be said about a column that was never trained."""
    with pytest.raises(Refused, match=r"'D' was not among the training data.*A, B, C.*--perturbation-features"):
        codes([Treatment(("D",))], WORDS)


def test_holdout_names_a_type_after_the_last_at_sign() -> None:
    """Names of types may hold a plus."""
    (one, two) = parse_holdouts(["B+A", "C@CD14+ Mono"], WORDS)
    assert (one.treatment.singles, one.cell_type) == (("A", "B"), None)
    assert (two.treatment.singles, two.cell_type) == (("C",), "CD14+ Mono")


@pytest.mark.parametrize(
    ("text", "says"), [("ctrl", "control cannot be held out"), ("A@X", "no cell type 'X'; there are T")]
)
def test_holdouts_that_are_none_are_refused(text: str, says: str) -> None:
    """With what there is."""
    with pytest.raises(Refused, match=says):
        parse_holdouts([text], WORDS)


def test_vocabulary_knows_its_order() -> None:
    """The same names in another order are another vocabulary."""
    other = Vocabulary(("g",), ("B", "A", "C"), ("b",), WORDS.cell_types, "ctrl", "+")
    assert other.sha256 != WORDS.sha256
