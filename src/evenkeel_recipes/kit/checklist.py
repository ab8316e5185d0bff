"""A list of checks: each passes, or says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from evenkeel_recipes.kit.refusal import Refused


class Grade(Enum):
    """What a check came to, as it is printed."""

    GOOD = "pass"
    NOTE = "note"  # unusual, and can be right
    LATER = "later"  # there is nothing to look at yet
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One check: what was looked at, what it came to, and what was found."""

    what: str
    grade: Grade
    found: str = ""


def checked(what: str, wrong: str) -> Check:
    """A check that fails where something is wrong."""
    return Check(what, Grade.FAIL if wrong else Grade.GOOD, wrong)


def noted(what: str, unusual: str) -> Check:
    """A check that never fails, and tells what is unusual."""
    return Check(what, Grade.NOTE if unusual else Grade.GOOD, unusual)


def refusals_too(what: str, checks: Iterable[Check]) -> Iterator[Check]:
    """The checks, and as one that fails, under the name `what`, a refusal that ends them."""
    try:
        yield from checks
    except Refused as refusal:
        yield checked(what, str(refusal))


def told(checks: Iterable[Check]) -> Iterator[str]:
    """A line each."""
    for check in checks:
        yield f"{check.grade.value:<5} {check.what}" + (f": {check.found}" if check.found else "")


def shortened(what: str, checks: Iterable[Check]) -> Iterator[Check]:
    """Those that failed or were noted, and where none failed, how many passed, under the name `what`."""
    made = list(checks)
    yield from (check for check in made if check.grade is not Grade.GOOD)
    if not any(check.grade is Grade.FAIL for check in made):
        yield Check(what, Grade.GOOD, f"{len(made)} checks")


def later(what: str, why: str) -> Check:
    """A check that cannot be made yet."""
    return Check(what, Grade.LATER, why)


def insist(checks: Iterable[Check]) -> None:
    """Refuse at the first check that fails; those behind it are not made.

    Raises:
        Refused: with what that check found.
    """
    for check in checks:
        if check.grade is Grade.FAIL:
            raise Refused(check.found)
