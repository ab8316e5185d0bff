"""The sentences carry the numbers, the place and what to do."""

from dataclasses import replace

from tests.diagnose.build import leaf
from tests.diagnose.cases import SECOND, WINS
from tests.diagnose.rows import ROWS

from evenkeel.diagnose.rank import explain


def test_log_of_zero_tells_the_way_from_batch_to_log() -> None:
    """Where, how often, which softmax, its range, the dtype's bound and the inputs that caused it."""
    case, _ = ROWS["G04"]
    operation = case.origin.operation
    many = replace(operation.outputs[0], num_neginf=18)
    origin = replace(case.origin, operation=replace(operation, outputs=(many,)))
    told = replace(case, origin=origin, leaves=(leaf("batch", "batch.bulk", 0.0, 1.2e5),))
    cause = explain(told)[0]
    assert cause.text == (
        "log received exactly 0 at [3, 1] and 17 more (train.py:12 in loss_fn): softmax underflowed, because its "
        "inputs span -812 to 640 (in float32 exp ends at -104) (train.py:11 in loss_fn); the inputs of the step reach "
        "1.2e5 (the batch batch.bulk)."
    )
    assert "log_softmax" in cause.advice
    assert "standardise" in cause.advice


def test_small_inputs_are_not_blamed() -> None:
    """Inputs near 1 are not told to be standardised."""
    case = replace(ROWS["G04"][0], leaves=(leaf("batch", "x", -2.0, 3.0),))
    assert "inputs of the step" not in explain(case)[0].text
    assert "standardise" not in explain(case)[0].advice


def test_one_minus_p_tells_that_p_rounded_to_one() -> None:
    """1 - sigmoid is another reason than an underflow."""
    text = explain(ROWS["G02"][0])[0].text
    assert "sigmoid rounded to exactly 1, so 1 - p is 0" in text
    assert "from 17.3 on" in text


def test_exp_overflow_tells_argument_and_bound() -> None:
    """The argument, the dtype's bound and where it became NaN."""
    cause = explain(WINS["exp_overflow"])[0]
    assert cause.text == (
        "exp received up to 100 at [0] (train.py:10 in loss_fn); it overflows float32 above 88.72; the infinity "
        "became NaN in div (train.py:14 in loss_fn)."
    )
    assert "softmax" in cause.advice


def test_masked_row_tells_who_placed_the_mask_and_which_sample() -> None:
    """The line of the mask and the sample are named."""
    text = explain(WINS["fully_masked_row"])[0].text
    assert "the mask was placed by masked_fill (train.py:7 in loss_fn)" in text
    assert "1 sample of 32: 1" in text


def test_growth_is_told_with_its_history() -> None:
    """The losses that grew stand in the sentence."""
    cause = explain(WINS["step_too_large"])[0]
    assert "(5.6e14, 2.1e16, 8.2e17, 3.1e19)" in cause.text
    assert "losses before this step: 8.5e27, 1.2e31, 1.8e34, 2.7e37" in cause.evidence


def test_bad_data_are_counted() -> None:
    """How many of which kind, in which tensor and sample."""
    text = explain(WINS["nonfinite_input"])[0].text
    assert text.startswith("the batch batch[1] holds 1 NaN of 3 elements before any operation of step 40")
    assert "1 sample of 32: 7" in text


def test_lost_constant_is_named_with_the_format() -> None:
    """Which constant, in which dtype, and what the dtype can hold."""
    cause = explain(WINS["half_underflow"])[0]
    assert "the constant 1e-15 (train.py:9 in loss_fn) is 0 in float16" in cause.text
    assert "smallest number 6e-8" in cause.evidence[0]
    assert "the bound 0.999999 (train.py:9 in loss_fn) is 1 in bfloat16" in explain(ROWS["U48"][0])[0].text


def test_closed_form_is_advised_where_there_is_one() -> None:
    """sqrt(exp(x)), sqrt(var) and rsqrt each get their own remedy."""
    assert "exp(0.5 * x)" in explain(ROWS["G14"][0])[0].advice
    assert "x.std()" in explain(ROWS["P10"][0])[0].advice
    assert "clamp_min(eps**2)" in explain(ROWS["U02"][0])[0].advice
    assert "its input goes down to -110" in explain(ROWS["G14"][0])[0].text


def test_excess_beyond_a_domain_is_told_where_rounding_hides_it() -> None:
    """1.0000001 prints as 1; the distance does not."""
    assert "1e-7 above 1" in explain(WINS["outside_domain"])[0].text


def test_mismatched_inputs_are_both_named() -> None:
    """The large one and an ordinary one."""
    mismatch = next(cause for cause in explain(SECOND["scale_mismatch"]) if cause.name == "scale_mismatch")
    assert mismatch.text.startswith("the batch batch[0] reaches 5,000 while the batch batch[1] reaches 2;")


def test_singular_matrix_tells_pivot_and_rank() -> None:
    """LAPACK's pivot, and how many rows can be independent at most."""
    text = explain(WINS["singular_matrix"])[0].text
    assert "pivot 3 of its factorisation is exactly 0; it is a product over 2, so of its 3 rows at most 2" in text


def test_distance_tells_that_a_point_met_itself() -> None:
    """The indices say it, the line of the difference is named."""
    text = explain(WINS["distance_to_itself"])[0].text
    assert "the difference of two equal points (train.py:7 in loss_fn); each of these is a point with itself" in text


def test_gradient_penalty_tells_which_operation_made_the_gradient() -> None:
    """Its line is where the gradient vanishes."""
    text = explain(WINS["gradient_penalty_at_zero"])[0].text
    assert "the length of a gradient (computed in backward by mm (train.py:7 in loss_fn))" in text


def test_underflow_tells_what_went_in() -> None:
    """The exponential, its range and the dtype."""
    text = explain(WINS["exp_underflow"])[0].text
    assert "because exp underflowed (train.py:8 in loss_fn): its inputs span all -120" in text


def test_tiny_denominator_tells_the_bound_of_its_dtype() -> None:
    """An eps for float16 must be larger than one for float32."""
    cause = explain(WINS["tiny_denominator"])[0]
    assert "div divided by 1e-6" in cause.text
    assert "above 0.003907" in cause.advice


def test_lengths_are_told_where_they_are_known() -> None:
    """Tensors of lengths, and the sample."""
    text = explain(WINS["impossible_length"])[0].text
    assert "inputs of 4 to 5 steps, targets of 2 to 3 symbols" in text


def test_code_for_missing_is_told_with_all_its_digits() -> None:
    """-9999 is recognised by its digits."""
    assert "the batch batch[0] holds 1e+20, a usual code" in explain(WINS["missing_value_code"])[0].text
