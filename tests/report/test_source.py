"""The excerpt shows the lines that ran, or only what was recorded of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.core.incident import Incident
from evenkeel.core.place import Place
from evenkeel.report.source import excerpt


@pytest.fixture
def place(incident: Incident) -> Place:
    """Line 7 of the script."""
    origin = incident.case.origin
    assert origin is not None
    assert origin.operation.place is not None
    return origin.operation.place


def test_the_line_is_marked_among_its_neighbours(place: Place) -> None:
    """Three on each side, empty lines at the ends left out."""
    lines = excerpt(place)
    assert [line.number for line in lines] == [4, 5, 6, 7, 8, 9, 10]
    assert [line.text for line in lines if line.marked] == ["    return (posterior * ratio.log()).sum(1)"]
    assert excerpt(place, context=1)[-1].number == 7


def test_a_changed_file_is_not_shown(place: Place, script: Path) -> None:
    """Only the line that was recorded when it ran."""
    script.write_text("# a new first line\n" + script.read_text())
    assert [(line.number, line.text, line.marked) for line in excerpt(place)] == [(7, place.source, True)]


def test_without_file_and_without_record_there_is_nothing(place: Place, script: Path) -> None:
    """No line is made up."""
    script.unlink()
    assert [line.text for line in excerpt(place)] == [place.source]
    assert excerpt(replace(place, source="")) == ()
