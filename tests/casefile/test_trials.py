"""What is made of an earlier snapshot: evidence for a training that ran away, and never an advice."""

from __future__ import annotations

import pytest

from evenkeel.casefile.trials import Trial, with_trials
from evenkeel.core.attempt import AttemptResult
from evenkeel.core.case import Case, Symptom
from evenkeel.core.cause import Cause, Family
from evenkeel.core.incident import Advice, Incident
from evenkeel.core.patch import ProofResult

LOSS = Symptom(kind="loss", name="loss")
CASE = Case(step=12, phase="forward", symptom=LOSS, reproduced=True)
FINITE = ProofResult(first=12, losses=(2.5,))
INFINITE = ProofResult(first=12, symptom=LOSS)


def cause(family: Family) -> Cause:
    """One with evidence of its own."""
    return Cause(name="any", code="EK200", family=family, text="", evidence=("so",), confidence=0.9, advice="do")


def trial(name: str, proof: ProofResult, remedy: str = "") -> Trial:
    """Of a run from the start."""
    return Trial.of_run(AttemptResult(name=name, changed="the state of before", remedy=remedy, proof=proof))


INCIDENT = Incident(case=CASE, causes=(cause("dynamics"), cause("range")), advice=(Advice(text="do"),))


def test_finite_from_an_earlier_state() -> None:
    """Said with its losses, of the family that it speaks for; the advice is another's."""
    known = with_trials(INCIDENT, [trial("earlier snapshot", FINITE)])
    told = "the program run again with the state of before: step 12 is finite, its loss 2.5"
    assert [c.evidence for c in known.causes] == [("so", told), ("so",)]
    assert known.advice == INCIDENT.advice
    assert [(e.name, e.healthy, e.loss) for e in known.experiments] == [("earlier snapshot", True, 2.5)]


@pytest.mark.parametrize("other", [trial("earlier snapshot", INFINITE), trial("smaller step: 0.1", FINITE, "lower it")])
def test_what_speaks_for_no_drift(other: Trial) -> None:
    """A step that fails from any state, and another experiment."""
    assert with_trials(INCIDENT, [other]).causes == INCIDENT.causes


def test_a_remedy_beside_it_is_the_first_advice() -> None:
    """Whichever was tried first."""
    known = with_trials(INCIDENT, [trial("earlier snapshot", FINITE), trial("smaller step: 0.1", FINITE, "lower it")])
    assert [advice.text for advice in known.advice] == ["Lower it.", "do"]


@pytest.mark.parametrize(
    ("losses", "told"),
    [
        ((None,), "step 12 is finite"),
        ((2.5,), "step 12 is finite, its loss 2.5"),
        ((2.5, None, 3.5), "steps 12 to 14 are finite, with losses from 2.5 to 3.5"),
    ],
)
def test_words_of_a_run(losses: tuple[float | None, ...], told: str) -> None:
    """One step, several, and such as have no loss."""
    assert trial("any", ProofResult(first=12, losses=losses)).proof.endswith(f": {told}")
