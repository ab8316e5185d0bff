"""The same bits, the same failure, another one, none."""

from __future__ import annotations

import dataclasses

import pytest

from evenkeel.capsule.manifest import Seen
from evenkeel.core.case import Symptom
from evenkeel.detect.nonfinite import Sighting
from evenkeel.investigate.verdict import outcome_of

SEEN = Seen(step=3, kind="gradient", names=("Linear[0].weight",), bits="aa", bits_of_losses="bb", is_glimpse=False)


def sighting(name: str, bits: str = "aa", losses: str = "bb") -> Sighting:
    """What is seen now."""
    return Sighting(Symptom(kind="gradient", name=name, names=(name,)), bits, (), bits_of_losses=losses)


@pytest.mark.parametrize(
    ("again", "outcome"),
    [
        (sighting("weight"), "same bits"),
        (sighting("weight", bits="cc"), "same failure"),
        (sighting("bias"), "another failure"),
        (None, "gone"),
    ],
)
def test_outcomes(again: Sighting | None, outcome: str) -> None:
    """Names of this run are translated into those of the capsule."""
    assert outcome_of(SEEN, again, {"weight": "Linear[0].weight"}) == outcome


def test_of_a_glimpse_only_the_losses_are_known() -> None:
    """Whatever the names."""
    glimpse = dataclasses.replace(SEEN, is_glimpse=True, names=("not yet known",), bits="")
    assert outcome_of(glimpse, sighting("bias", bits="cc"), {}) == "same bits"
    assert outcome_of(glimpse, sighting("bias", losses="cc"), {}) == "same failure"
