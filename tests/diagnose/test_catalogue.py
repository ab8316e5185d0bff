"""The catalogue holds every cause, each with a code of its own and a complete manual page."""

import re
from pathlib import Path

import pytest

from evenkeel.diagnose import causes
from evenkeel.diagnose.catalogue import catalogue
from evenkeel.diagnose.rule import HEADINGS, CauseRule

FOLDER = Path(causes.__file__).parent
MAX_LINES = 120


def test_catalogue_finds_every_file() -> None:
    """As many causes as files, sorted by code."""
    files = {path.stem for path in FOLDER.glob("[a-z]*.py")}
    assert len(files) == 58
    assert {rule.name for rule in catalogue()} == files
    assert list(catalogue()) == sorted(catalogue(), key=lambda rule: rule.code)


def test_codes_are_unique_and_of_the_causes() -> None:
    """EK2 and two digits, none twice."""
    codes = [rule.code for rule in catalogue()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"EK2\d\d", code) for code in codes)


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.name)
def test_page_has_its_headings_in_order(rule: CauseRule) -> None:
    """One plain sentence, then each heading once, in order, with something under it."""
    first, _, rest = rule.page.partition("\n\n")
    assert re.fullmatch(r"[A-Zp][^\n]+\.", first), first
    parts = re.split(r"^([A-Z][a-z ]+:)\n", rest, flags=re.MULTILINE)[1:]
    assert tuple(parts[::2]) == HEADINGS
    assert all(part.strip() and part.startswith("    ") for part in parts[1::2])


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.name)
def test_page_names_only_causes_that_exist(rule: CauseRule) -> None:
    """A name with underscores under "Not this" is another cause, or nothing at all."""
    names = {other.name for other in catalogue()}
    told = rule.page.partition("Not this:")[2].partition("Source:")[0]
    mentioned = set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", told))
    assert mentioned <= names - {rule.name}


def test_files_are_short() -> None:
    """A cause can be read in one sitting."""
    sizes = {path.name: len(path.read_text(encoding="utf8").splitlines()) for path in FOLDER.glob("[a-z]*.py")}
    assert len(sizes) == 58
    assert {name: size for name, size in sizes.items() if size > MAX_LINES} == {}
