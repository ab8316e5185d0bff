"""The readers of a case answer what they say they answer."""

import pytest
from tests.diagnose.build import INF, NAN, derivative, element, failing, leaf, op, scalar, tensor

from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, history, masks


@pytest.mark.parametrize(
    ("function", "name"),
    [
        ("_softmax", "softmax"),
        ("log_", "log"),
        ("nll_loss_forward", "nll_loss"),
        ("linalg_vector_norm", "norm"),
        ("_linalg_svd", "svd"),
        ("true_divide", "div"),
    ],
)
def test_plain_names(function: str, name: str) -> None:
    """Private marks, in-place marks and other spellings go."""
    assert evidence.base(op(function)) == name


def test_operands_are_found_by_the_name_of_the_argument() -> None:
    """The second argument's values at the bad elements; nothing for an argument that is no tensor."""
    div = op("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,))
    origin = failing(div, element([1.0, 0.0], INF), element([2.0, 0.0], INF)).origin
    assert evidence.operands(origin, "other") == (0.0, 0.0)
    assert evidence.operands(origin, "self") == (1.0, 2.0)
    assert evidence.operands(origin, "alpha") == ()


def test_maker_of_a_denominator_is_found_through_copies() -> None:
    """A scalar 0 made by norm and handed on by a conversion, beside a numerator of zeros."""
    norm = op("norm", [tensor("self", 0.0, 0.0)], scalar("out", 0.0), line=1)
    copy = op("_to_copy", [scalar("self", 0.0)], scalar("out", 0.0), line=2)
    zeros = op("mul", [tensor("self", 0.0, 0.0)], (0.0, 0.0), line=3)
    div = op("div", [tensor("self", 0.0, 0.0), scalar("other", 0.0)], (NAN, NAN))
    case = failing(div, upstream=[zeros, copy, norm])
    assert evidence.maker(case, div.inputs[1]) == norm
    assert evidence.maker(case, div.inputs[0]) == zeros
    assert evidence.maker(case, tensor("self", 5.0)) is None


def test_zeros_without_a_count() -> None:
    """A range that ends at 0 holds one; a range across 0 may not."""
    counted = tensor("x", 0.0, 0.0, 1.0)
    assert evidence.num_zeros(counted) == 2
    uncounted = [tensor("x", *values) for values in ((0.0, 1.0), (-1.0, 1.0))]
    ends, crosses = (
        type(stats)(name="x", shape=(9,), dtype="float32", device="cpu", min=stats.min, max=stats.max)
        for stats in uncounted
    )
    assert evidence.num_zeros(ends) == 1
    assert evidence.num_zeros(crosses) == 0


def test_integer_denominator_is_told_from_a_number() -> None:
    """The trace keeps no range of integers: a division without a denominator is one by integers."""
    assert evidence.divides_by_integers(op("div", [scalar("self", 1.0)], (INF,)))
    assert not evidence.divides_by_integers(op("div", [scalar("self", 1.0)], (INF,), scalars=(0.0,)))


def test_overflow_is_a_matter_of_size() -> None:
    """Large factors overflow; 1/0 and log(0) are infinite at a point; NaN out of huge terms is inf - inf."""
    large = failing(op("mul", [tensor("self", 1e30), tensor("other", 1e30)], (INF,)))
    point = failing(op("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,)))
    log = failing(op("log", [tensor("self", 0.0)], (-INF,)))
    both_signs = failing(op("mm", [tensor("self", -3e38, 3e38), tensor("mat2", 2.0)], (NAN,)))
    slope = failing(
        op("sqrt", [tensor("self", 0.0)], (0.0,)),
        back=derivative("div", [tensor("self", 1.0), tensor("other", 0.0)], (INF,)),
    )
    assert evidence.overflow(large.origin) is large.origin.operation
    assert evidence.overflow(both_signs.origin) is both_signs.origin.operation
    assert [evidence.overflow(case.origin) for case in (point, log, slope)] == [None, None, None]


def test_power_divides_by_zero_when_its_exponent_is_negative() -> None:
    """The exponent may be a number, a tensor, or both; rsqrt has none."""
    zero, both = tensor("self", 0.0), [tensor("self", 0.0), tensor("exponent", -1.0)]
    assert evidence.divides_by_zero(failing(op("pow", [zero], (INF,), scalars=(-0.5,))).origin)
    assert evidence.divides_by_zero(failing(op("pow", both, (INF,)), element([0.0, -1.0], INF)).origin)
    assert evidence.divides_by_zero(failing(op("pow", both[1:], (INF,), scalars=(0.0,))).origin)
    assert evidence.divides_by_zero(failing(op("rsqrt", [zero], (INF,))).origin)
    assert not evidence.divides_by_zero(failing(op("pow", [zero], (0.0,), scalars=(0.5,))).origin)


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        (op("sqrt", [tensor("self", 0.0, 4.0)], (0.0, 2.0)), True),
        (op("pow", [tensor("self", 0.0)], (0.0,), scalars=(2.0,)), False),
        (op("hypot", [tensor("self", 0.0, 3.0), tensor("other", 4.0, 0.0)], (4.0, 3.0)), False),
        (op("hypot", [tensor("self", -3.0, 3.0), tensor("other", -4.0, 4.0)], (0.0, 5.0)), True),
        (op("exp", [tensor("self", 0.0)], (1.0,)), False),
    ],
)
def test_roots_of_zero(root: Operation, expected: bool) -> None:  # noqa: FBT001 - a column of the table
    """A square is no root; hypot is at 0 where its result is."""
    assert evidence.is_root_of_zero(root) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [((), 1.0), ((5.0,), 1.0), ((1.0, 20.0), 20.0), ((0.01, 2.0, 2.1, 2.0), 1.0), ((2.0, 2.0, 2.0, 60.0), 30.0)],
)
def test_growth(values: tuple[float, ...], expected: float) -> None:
    """A rise is measured from its start, noise from its middle; one value says nothing."""
    assert history.growth(values) == pytest.approx(expected, rel=0.01)


def test_weight_jump_needs_few_steps_and_raw_inputs() -> None:
    """A weight of 36 speaks for the step early on, and on unscaled inputs only."""
    weight, raw, scaled = leaf("parameter", "w", -36.0), leaf("batch", "x", 349.0), leaf("batch", "x", 2.0)
    log = op("log", [tensor("self", 0.0)], (-INF,))
    assert history.weight_jump(failing(log, step=1, leaves=[weight, raw])) == 36.0
    assert history.weight_jump(failing(log, step=1, leaves=[weight, scaled])) is None
    assert history.weight_jump(failing(log, step=0, leaves=[weight, raw])) is None
    assert history.weight_jump(failing(log, step=50, leaves=[weight, raw])) is None


@pytest.mark.parametrize(
    ("dtype", "constant", "found"),
    [
        ("float16", -1e9, -1e9),
        ("float16", -65504.0, -65504.0),
        ("float16", -500.0, None),
        ("float32", -3.4e38, -3.4e38),
        ("float32", -1e9, None),
    ],
)
def test_mask_constants(dtype: str, constant: float, found: float | None) -> None:
    """What counts as a mask depends on the dtype."""
    add = op("add", [tensor("self", -30.0, dtype=dtype)], (-INF,), scalars=(constant,))
    assert masks.overflowed_mask(add) == found
