"""Reports appear whole, and none is ever overwritten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.report.as_json import from_json
from evenkeel.report.write import with_patch, write


def test_both_files_are_written_and_nothing_else(incident: Incident, tmp_path: Path) -> None:
    """The directory is made; the JSON names the page."""
    out = tmp_path / "incidents" / "2"
    written = write(incident, out)
    assert sorted(path.name for path in out.iterdir()) == ["incident.json", "report.html"]
    assert written.report == str(out / "report.html")
    assert repr(from_json((out / "incident.json").read_text())) == repr(written)
    assert (out / "report.html").read_text().startswith("<!doctype html>")


def test_the_patch_is_a_file_of_its_own_when_it_is_asked_for(incident: Incident, tmp_path: Path) -> None:
    """To the letter of the first diff; incident and page name it."""
    out = tmp_path / "out"
    written = write(with_patch(incident, out), out)
    assert sorted(path.name for path in out.iterdir()) == ["fix.patch", "incident.json", "report.html"]
    assert written.patch == str(out / "fix.patch")
    assert (out / "fix.patch").read_bytes() == (incident.advice[0].diff or "").encode()
    assert from_json((out / "incident.json").read_text()).patch == written.patch
    assert f"patch -p1 &lt; {written.patch}" in (out / "report.html").read_text()


def test_without_a_diff_there_is_no_patch(bare: Incident, tmp_path: Path) -> None:
    """Whoever asks for it."""
    assert with_patch(bare, tmp_path) is bare


@pytest.mark.parametrize("name", ["incident.json", "report.html", "fix.patch"])
def test_an_existing_file_is_kept(incident: Incident, tmp_path: Path, name: str) -> None:
    """The error names the file, and no other one is written either."""
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("earlier")
    with pytest.raises(UsageError, match=f"{name} exists and is not overwritten"):
        write(with_patch(incident, out), out)
    assert [path.name for path in out.iterdir()] == [name]
    assert (out / name).read_text() == "earlier"


def test_a_file_name_that_is_no_text_does_not_lose_the_report(incident: Incident, tmp_path: Path) -> None:
    """File names are bytes; Python shows odd ones as lone surrogates."""
    out = tmp_path / "out"
    written = write(replace(incident, command="caf\udce9.py"), out)
    assert repr(from_json((out / "incident.json").read_text())) == repr(written)
    assert "caf\\udce9.py" in (out / "report.html").read_text()
