"""When an earlier snapshot is tried, and what comes before and after it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evenkeel.casefile.changes import attempts
from evenkeel.core.case import Case, Origin, Symptom
from evenkeel.core.cause import Cause, Family
from evenkeel.core.incident import Incident
from evenkeel.core.operation import Operation

CASE = Case(step=12, phase="forward", symptom=Symptom(kind="loss", name="loss"), reproduced=True)


def kinds(case: Case, family: Family = "range") -> list[str]:
    """In their order."""
    cause = Cause(name="any", code="EK200", family=family, text="", evidence=(), confidence=0.9, advice="")
    return [attempt.kind for attempt in attempts(Incident(case=case, causes=(cause,)))]


def test_before_what_calms_and_after_what_mends() -> None:
    """It costs least of what is tried on a training that ran away; elsewhere it is the last."""
    assert kinds(CASE, "dynamics") == ["state", "rate", "rate", "rate", "norm", "norm"]
    assert kinds(CASE, "precision") == ["skip", "state"]
    assert kinds(CASE) == ["state"]


@pytest.mark.parametrize(
    "case",
    [
        replace(CASE, step=0),
        replace(CASE, reproduced=False),
        replace(
            CASE,
            origin=Origin(
                operation=Operation(index=0, op="", function="", phase="forward"), samples=(3,), samples_verified=True
            ),
        ),
    ],
    ids=["first step", "comes and goes", "samples are at fault"],
)
def test_where_it_has_nothing_to_tell(case: Case) -> None:
    """Nothing is earlier than the first step; chance and single samples are no drift."""
    assert "state" not in kinds(case)


def test_samples_that_were_suspected_in_vain() -> None:
    """Other rows in their place did not make the step healthy: the state may be at fault."""
    operation = Operation(index=0, op="", function="", phase="forward")
    assert kinds(replace(CASE, origin=Origin(operation=operation, samples=(3,), samples_verified=False))) == ["state"]


@pytest.mark.parametrize("step", [0, 1, 2, 19, 20, 500])
def test_how_far_back(step: int) -> None:
    """Ten updates, or half of those that there were; at least one, and none before the first step."""
    case = replace(CASE, step=step)
    found = [attempt for attempt in attempts(Incident(case=case)) if attempt.kind == "state"]
    assert [step - kept for attempt in found for kept in attempt.before] == {0: [], 1: [1], 2: [1], 19: [9]}.get(
        step, [10]
    )
    assert all((attempt.begins, attempt.judged) == (step, range(step, step + 1)) for attempt in found)
