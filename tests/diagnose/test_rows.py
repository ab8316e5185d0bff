"""The public failures get the family that people found for them."""

import re

import pytest
from tests.diagnose.rows import ROWS

from evenkeel.diagnose.rank import explain


def test_rows_are_all_there() -> None:
    """Every row of an even number whose symptom is a non-finite value; one of them fails in two ways."""
    ids = {re.match(r"[GTPU]\d\d", name)[0] for name in ROWS}
    assert len(ids) == 49
    assert len(ROWS) == 50
    assert not {"P24", "U22", "U54", "U58", "U60", "U62", "U64", "U66", "U68"} & ids  # finite and wrong


@pytest.mark.parametrize("name", ROWS)
def test_first_cause_is_of_the_true_family(name: str) -> None:
    """The family of the best explanation is among those of the row."""
    case, families = ROWS[name]
    causes = explain(case)
    assert causes[0].family in families, [(cause.name, cause.confidence) for cause in causes]
    assert causes[0].name != "unexplained"


@pytest.mark.parametrize("name", ["G02", "G04", "G16", "T02"])
def test_lower_learning_rate_is_not_the_answer_to_a_saturated_log(name: str) -> None:
    """The accepted but wrong remedy for log(softmax) is not offered first."""
    assert "learning rate" not in explain(ROWS[name][0])[0].advice
    assert "logits" in explain(ROWS[name][0])[0].advice
