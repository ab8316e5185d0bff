"""The same bits, the same failure, another one, none."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from evenkeel.capsule.manifest import Seen
from evenkeel.core.case import Symptom
from evenkeel.core.fingerprint import Fingerprint
from evenkeel.detect.nonfinite import Sighting
from evenkeel.investigate.verdict import outcome_of
from evenkeel.tensors.fingerprint import fingerprint


def of(value: float) -> Fingerprint:
    """The fingerprint of one number."""
    return fingerprint([torch.tensor(value)])


SEEN = Seen(step=3, kind="gradient", names=("Linear[0].weight",), fingerprint=of(1.0), is_glimpse=False)


def sighting(name: str, value: float = 1.0, loss: float = 2.0) -> Sighting:
    """What is seen now."""
    return Sighting(Symptom(kind="gradient", name=name, names=(name,)), of(value), (), of_losses=of(loss))


@pytest.mark.parametrize(
    ("again", "outcome"),
    [
        (sighting("weight"), "same bits"),
        (sighting("weight", value=1.0 + 2**-20), "same but for rounding"),
        (sighting("weight", value=1.5), "same failure"),
        (sighting("bias"), "another failure"),
        (None, "gone"),
    ],
)
def test_outcomes(again: Sighting | None, outcome: str) -> None:
    """Names of this run are translated into those of the capsule."""
    assert outcome_of(SEEN, again, {"weight": "Linear[0].weight"}) == outcome


def test_of_a_glimpse_only_the_losses_are_known() -> None:
    """Whatever the names."""
    glimpse = dataclasses.replace(SEEN, is_glimpse=True, names=("not yet known",), fingerprint=of(2.0))
    assert outcome_of(glimpse, sighting("bias", value=1.5), {}) == "same bits"
    assert outcome_of(glimpse, sighting("bias", loss=2.0 + 2**-19), {}) == "same but for rounding"
    assert outcome_of(glimpse, sighting("bias", loss=2.5), {}) == "same failure"
