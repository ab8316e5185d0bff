"""An event survives its line of JSON; anything else is refused with the reason."""

from __future__ import annotations

import json
import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.core.events import (
    Event,
    PeerBad,
    Replayed,
    RunEnded,
    RunStarted,
    StepBad,
    StepDone,
    StepSkipped,
    UpdateRefused,
)
from evenkeel.journal.codec import KINDS, UnreadableLine, decode, encode

counts = st.integers(0, 10**18)
losses = st.none() | st.floats()
times = st.floats(0, 1e12)
events = st.one_of(
    st.builds(RunStarted, command=st.text(), time_s=times, rank=counts),
    st.builds(StepDone, step=counts, loss=losses),
    st.builds(StepBad, step=counts, kind=st.text(), name=st.text()),
    st.builds(Replayed, step=counts, how=st.text(), reproduced=st.booleans()),
    st.builds(StepSkipped, step=counts, num_skipped=counts),
    st.builds(UpdateRefused, step=counts, scale=st.floats()),
    st.builds(PeerBad, step=counts, rank=counts),
    st.builds(RunEnded, num_steps=counts, status=st.integers(-64, 255), time_s=times),
)


@given(events)
def test_every_event_comes_back_as_it_was(event: Event) -> None:
    """Compared by repr, because NaN is not equal to itself."""
    assert repr(decode(encode(event))) == repr(event)


def test_every_kind_of_event_has_a_word() -> None:
    """A new event in core/ needs a line here."""
    examples = (
        RunStarted(command="", time_s=0.0),
        StepDone(step=0, loss=None),
        StepBad(step=0, kind="", name=""),
        Replayed(step=0, how="", reproduced=True),
        StepSkipped(step=0, num_skipped=1),
        UpdateRefused(step=0, scale=1.0),
        PeerBad(step=0, rank=1),
        RunEnded(num_steps=0, status=0, time_s=0.0),
    )
    assert {type(example) for example in examples} == set(get_args(Event))
    assert tuple(json.loads(encode(example))["e"] for example in examples) == KINDS


@given(st.builds(StepDone, step=counts, loss=losses))
def test_a_step_is_one_line_of_at_most_200_bytes(event: StepDone) -> None:
    """The budget of the journal."""
    line = encode(event)
    assert len(line.encode()) < 200
    assert "\n" not in line


@pytest.mark.parametrize(("loss", "word"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_numbers_that_are_not_finite_are_words(loss: float, word: str) -> None:
    """Plain JSON has no other way, and a reader must not take them for text."""
    assert json.loads(encode(StepDone(step=3, loss=loss)), parse_constant=pytest.fail) == {
        "e": "step",
        "n": 3,
        "l": word,
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"e":"step","n":1', "no JSON"),
        ("", "no JSON"),
        ("[1]", "no JSON object"),
        ('{"n":1}', "the field 'e' is missing"),
        ('{"e":"step","n":1}', "the field 'l' is missing"),
        (
            '{"e":"leap","n":1}',
            "unknown kind of event 'leap'; known are run, step, bad, replay, skip, refused, peer, end",
        ),
        ('{"e":"step","n":true,"l":1}', "the field 'n' must be a whole number, not True"),
        ('{"e":"step","n":1,"l":"many"}', 'expected a number, "nan", "inf" or "-inf"; got \'many\''),
        ('{"e":"bad","n":1,"k":2,"w":""}', "the field 'k' must be text, not 2"),
        ('{"e":"replay","n":1,"h":"","ok":1}', "the field 'ok' must be true or false, not 1"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(line: str, reason: str) -> None:
    """Nothing unreadable passes for an event."""
    with pytest.raises(UnreadableLine) as caught:
        decode(line)
    assert reason in str(caught.value)


def test_a_later_version_may_add_fields() -> None:
    """Keys that are not known are ignored."""
    assert decode('{"e":"step","n":1,"l":0.5,"new":[1]}') == StepDone(step=1, loss=0.5)
