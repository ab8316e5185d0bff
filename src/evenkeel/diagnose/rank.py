"""Put the causes of a case in order."""

from __future__ import annotations

from evenkeel.core.case import Case
from evenkeel.core.cause import Cause
from evenkeel.diagnose.catalogue import catalogue
from evenkeel.diagnose.causes import unexplained


def explain(case: Case) -> tuple[Cause, ...]:
    """Every cause that fits, best first; never empty, because what nothing explains is `unexplained`."""
    judged = (rule.judge(case) for rule in catalogue() if rule.code != unexplained.CODE)
    found = sorted((cause for cause in judged if cause is not None), key=_order)
    return tuple(found) or (unexplained.judge(case),)


def _order(cause: Cause) -> tuple[float, str]:
    """The most confident first, ties by code, so that a report never depends on the order of files."""
    return (-cause.confidence, cause.code)
