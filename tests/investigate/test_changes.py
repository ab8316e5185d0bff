"""What a capsule can change, and what it cannot for want of earlier steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evenkeel.core.case import Case, Symptom
from evenkeel.core.cause import Cause
from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.investigate.changes import change_named, changes_for, only_live

CASE = Case(step=12, phase="forward", symptom=Symptom(kind="loss", name="loss"), reproduced=True)
RAN_AWAY = Cause(name="any", code="EK251", family="dynamics", text="", evidence=(), confidence=0.9, advice="")
INCIDENT = Incident(case=CASE, causes=(RAN_AWAY,))


def test_what_needs_the_steps_before() -> None:
    """It is told apart from what there is, and asking for it is answered with the reason."""
    names = only_live(INCIDENT)
    assert names[:2] == ["earlier snapshot", "smaller step: 0.1"]
    assert not set(names) & {change.name for change in changes_for(INCIDENT)}
    with pytest.raises(UsageError, match="a capsule holds the state of its own step, and none earlier; `evenkeel run`"):
        change_named("earlier snapshot", INCIDENT)


def test_what_there_never_is() -> None:
    """In the first step no state is earlier: the name is none."""
    with pytest.raises(UsageError, match="there is no such experiment"):
        change_named("earlier snapshot", Incident(case=replace(CASE, step=0)))
