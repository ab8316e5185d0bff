"""Each cause wins its own case and stays silent beside it."""

import re

import pytest
from tests.diagnose import cases, cases_of_runs
from tests.diagnose.cases import MASK_IN_BATCH
from tests.diagnose.rows import ROWS

from evenkeel.core.case import Case
from evenkeel.diagnose.catalogue import catalogue
from evenkeel.diagnose.causes import unexplained
from evenkeel.diagnose.rank import explain

WINS = cases.WINS | cases_of_runs.WINS
SECOND = cases.SECOND | cases_of_runs.SECOND
SILENT = cases.SILENT | cases_of_runs.SILENT
RULES = {rule.name: rule for rule in catalogue()}


def test_every_cause_has_its_fixtures() -> None:
    """A case to win (or to be second in) and a near miss, for each; the last resort has nothing to be silent at."""
    assert len(RULES) == 58
    assert {*WINS, *SECOND} == set(RULES)
    assert {*SILENT, unexplained.__name__.rpartition(".")[2]} == set(RULES)


@pytest.mark.parametrize("name", WINS)
def test_cause_wins_its_own_case(name: str) -> None:
    """The intended cause comes first, clearly named."""
    causes = explain(WINS[name])
    assert causes[0].name == name, [(cause.name, cause.confidence) for cause in causes]
    assert causes[0].code == RULES[name].code


@pytest.mark.parametrize("name", SECOND)
def test_secondary_cause_is_told_below_the_first(name: str) -> None:
    """What explains how it came about is told, and not first."""
    names = [cause.name for cause in explain(SECOND[name])]
    assert name in names[1:]


@pytest.mark.parametrize("name", SILENT)
def test_cause_is_silent_at_its_near_miss(name: str) -> None:
    """A neighbour that looks alike does not make the cause speak."""
    assert RULES[name].judge(SILENT[name]) is None


def every_case() -> list[Case]:
    """All cases at hand."""
    return [*WINS.values(), *SECOND.values(), *SILENT.values(), *(case for case, _ in ROWS.values()), MASK_IN_BATCH]


def test_every_answer_is_well_formed() -> None:
    """Names, codes, families, confidences and sentences, over every cause and every case."""
    cases = every_case()
    assert len(cases) > 100
    for case in cases:
        for rule in RULES.values():
            cause = rule.judge(case)
            if cause is None:
                continue
            assert (cause.name, cause.code) == (rule.name, rule.code)
            assert cause.family == rule.family or rule.name == "unexplained"
            assert 0.0 < cause.confidence < 1.0
            assert cause.text.endswith("."), cause.text
            assert cause.advice.endswith((".", ")")), cause.advice
            assert all(cause.evidence), cause.evidence
            assert not re.search(r"  |\bNone\b|\(\)|,,| ,|\.\.(?!\.)", cause.text), cause.text


def test_no_advice_hides_a_number() -> None:
    """What only hides is never recommended."""
    advice = [cause.advice for case in every_case() for cause in explain(case)]
    assert len(advice) > 100
    assert not [text for text in advice if "nan_to_num" in text or "detect_anomaly" in text]


def test_mask_from_outside_is_no_bad_input() -> None:
    """-inf on purpose is judged by what made NaN of it."""
    assert explain(MASK_IN_BATCH)[0].name == "fully_masked_row"
