"""`evenkeel explain` prints manual pages, and helps with a name that is nearly right."""

from __future__ import annotations

import pytest

from evenkeel.cli.main import parse
from evenkeel.diagnose.catalogue import catalogue

PAGES = {rule.name: rule for rule in catalogue()}


@pytest.mark.parametrize("wanted", ["EK201", "ek201", "log_of_nonpositive", "LOG-of-nonpositive"])
def test_a_page_is_found_by_code_and_by_name(capsys: pytest.CaptureFixture[str], wanted: str) -> None:
    """In any case, with either dash."""
    assert parse(["explain", wanted]) == 0
    rule = PAGES["log_of_nonpositive"]
    output = capsys.readouterr().out
    assert output.startswith(f"EK201 log_of_nonpositive ({rule.family})\n\n")
    assert rule.page.splitlines()[0] in output
    assert "What you see:" in output


def test_every_cause_has_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Each can be asked for by its code and says more than a line."""
    assert len(PAGES) >= 3
    for rule in PAGES.values():
        assert parse(["explain", rule.code]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 5


def test_without_a_name_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """One line each."""
    assert parse(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [[rule.code, rule.name] for rule in catalogue()]


def test_a_near_miss_names_what_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, on stderr."""
    assert parse(["explain", "log_of_nonpostive"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "there is no cause 'log_of_nonpostive'; near it: EK201 log_of_nonpositive" in output.err


def test_a_name_like_no_other_points_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    """No far-fetched guess."""
    assert parse(["explain", "zzz"]) == 2
    assert "near it" not in capsys.readouterr().err
