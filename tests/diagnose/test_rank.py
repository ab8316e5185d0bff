"""The order of the causes, and that there always is one."""

from dataclasses import replace

import pytest
from tests.diagnose.build import INF, NAN, element, failing, leaf, op, tensor
from tests.diagnose.cases import WINS
from tests.diagnose.rows import ROWS, linear_regression, overflowing_exp

from evenkeel.diagnose.rank import explain


def test_causes_are_sorted_by_confidence_then_code() -> None:
    """Best first, ties by code."""
    for case, _ in ROWS.values():
        keys = [(-cause.confidence, cause.code) for cause in explain(case)]
        assert keys == sorted(keys)


@pytest.mark.parametrize(("phase", "family"), [("forward", "domain"), ("state", "state"), ("data", "data")])
def test_what_nothing_explains_is_said_to_be_unexplained(phase: str, family: str) -> None:
    """The last resort takes its family from the phase alone and claims little."""
    case = replace(WINS["unexplained"], phase=phase)
    (cause,) = explain(case)
    assert (cause.code, cause.family, cause.confidence) == ("EK299", family, 0.1)
    assert "my_kernel" in cause.text


def test_unexplained_is_not_told_beside_an_explanation() -> None:
    """The last resort stands alone."""
    assert all("EK299" not in {c.code for c in explain(case)} for case, _ in ROWS.values())


def test_replay_without_symptom_says_what_that_means() -> None:
    """Not reproduced: hardware, race, memory, or data that could not be rewound."""
    cause = explain(failing(None, reproduced=False))[0]
    assert (cause.code, cause.family) == ("EK298", "hardware")
    assert "cannot be rewound" in " ".join(cause.evidence)


def test_explanation_of_another_failure_in_replay_is_told_with_it() -> None:
    """When the replay failed otherwise, what it showed comes first, and that it differs is said."""
    names = [cause.name for cause in explain(replace(ROWS["G04"][0], reproduced=False))]
    assert names[0] == "log_of_nonpositive"
    assert "not_reproduced" in names


def test_growth_beats_the_overflow_that_it_ended_in() -> None:
    """The same overflow: with growing losses the step was too large, with steady ones it was not."""
    grown = linear_regression()
    steady = replace(grown, losses=(2.0, 2.1, 1.9), weight_peaks=(3e19, 3e19, 3e19))
    assert explain(grown)[0].name == "step_too_large"
    assert explain(steady)[0].name == "product_overflow"
    assert explain(replace(grown, step=0))[0].name == "product_overflow"


def test_growth_within_what_a_log_can_do_does_not_beat_the_log() -> None:
    """-log(p) rises from 2 to 50 by itself; only growth beyond that speaks for the step."""
    case = ROWS["G04"][0]
    assert explain(replace(case, losses=(2.3, 9.0, 50.0)))[0].name == "log_of_nonpositive"
    assert explain(replace(case, losses=(2.3, 90.0, 5e4)))[0].name == "step_too_large"


def test_exp_that_grew_is_a_matter_of_the_step() -> None:
    """Growing weights and an exp overflow."""
    case = replace(overflowing_exp(100.0, later="mul"), weight_peaks=(0.5, 4.0, 30.0))
    assert [cause.name for cause in explain(case)[:2]] == ["step_too_large", "exp_overflow"]


def test_bad_input_beats_what_it_did_later() -> None:
    """NaN in the batch explains a poisoned buffer too."""
    target = leaf("batch", "batch[0]", NAN)
    case = failing(
        op("batch_norm", [target.stats], (NAN,)), element([NAN], NAN), kind="buffer", entering=target, phase="data"
    )
    assert [cause.name for cause in explain(case)] == ["nonfinite_input", "poisoned_buffer"]


def test_same_case_gives_the_same_answer() -> None:
    """Explaining is a pure function."""
    case = failing(op("exp", [tensor("self", 100.0)], (INF,)))
    assert explain(case) == explain(case)


def test_step_that_could_not_be_repeated_is_no_fault_of_the_hardware() -> None:
    """Nothing was run again, so nothing came out otherwise; the reason is told, and what to do about it."""
    why = "not repeated: the loop wrote into its batch, so it cannot be handed out again"
    case = replace(failing(None, reproduced=False), obstacle=why)
    (cause,) = explain(case)
    assert cause.code == "EK299"
    assert why in cause.text
    assert "evenkeel run" in cause.advice
    spoiled = replace(case, leaves=(leaf("parameter", "encoder.weight", 0.1, NAN),), last_good_state=39)
    assert explain(spoiled)[0].code == "EK261"
