"""For how long a person, or a training that goes on, is kept waiting."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from evenkeel.core.settings import skip
from evenkeel.rerun.rerun import Rerun


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let so many seconds pass."""
    now = time.monotonic()
    return lambda seconds: monkeypatch.setattr(time, "monotonic", lambda: now + seconds)


def test_several_runs_are_made_of_quick_programs_only(start: Callable[..., Rerun], after: Callable[..., None]) -> None:
    """Within a minute, where the program is stopped anyway, and where experiments are wanted."""
    stopped, goes_on, plain = start(), start(policy=skip()), start(experiments=False)
    after(30.0)
    assert (stopped.may_attempt, goes_on.may_attempt, plain.may_attempt) == (True, False, False)
    after(90.0)
    assert not stopped.may_attempt


def test_long_proof_is_made_when_asked_for(start: Callable[..., Rerun], after: Callable[..., None]) -> None:
    """Ten minutes are not spent without being asked; the sentence says how to ask."""
    rerun = start()
    after(720.0)
    told = rerun.prove([], 3)
    assert told == "its proof, a run from the start, takes some 12 minutes; --fix-preview has it made"


def test_training_that_goes_on_does_not_wait_long(start: Callable[..., Rerun], after: Callable[..., None]) -> None:
    """Under `skip` a proof may take a minute."""
    rerun = start(policy=skip())
    after(90.0)
    told = rerun.prove([], 3)
    assert isinstance(told, str)
    assert "training would have to wait" in told
