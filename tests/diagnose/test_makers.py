"""What made an argument is found through the operations that may stand between, and through no others."""

from tests.diagnose.build import failing, op, tensor

from evenkeel.diagnose import makers

RANGE = tensor("self", 0.0, 4.0)
EXP = op("exp", [RANGE], RANGE, line=1)
CAST = op("_to_copy", [RANGE], RANGE, line=2, made_by=(1,))
OTHER = op("mul", [tensor("self", 1.0)], RANGE, line=3, made_by=(None,))
SUM = op("sum", [RANGE, RANGE], RANGE, line=4, made_by=(3, 2))
DIV = op("div", [tensor("self", 1.0), tensor("other", 0.0, 4.0)], RANGE, line=5, made_by=(None, 4))
CASE = failing(DIV, upstream=[SUM, OTHER, CAST, EXP])


def test_nearest_follows_every_argument_of_what_passes() -> None:
    """Through a sum and a cast to the exponential, not through the product beside it."""
    is_exp = makers.named({"exp"})
    assert makers.nearest(CASE, SUM, is_exp, makers.named({"sum", "to_copy"})) is EXP
    assert makers.nearest(CASE, SUM, is_exp, makers.named({"sum"})) is None
    assert makers.nearest(CASE, EXP, is_exp, makers.named(())) is EXP
    assert makers.nearest(CASE, None, is_exp, makers.named({"sum"})) is None


def test_maker_of_an_argument_is_told_by_index_else_by_range() -> None:
    """Copies are looked through; a trace without indices is read by ranges."""
    assert makers.made_argument(CASE, DIV, DIV.inputs[1]) is SUM
    through_copy = op("div", DIV.inputs, RANGE, line=6, made_by=(None, 2))
    assert makers.made_argument(CASE, through_copy, through_copy.inputs[1]) is EXP
    unknown = op("div", DIV.inputs, RANGE, line=7)
    assert makers.made_argument(failing(unknown, upstream=[SUM]), unknown, unknown.inputs[1]) is SUM


def test_squares() -> None:
    """x², x·x of one maker or of equal ranges; a mask times a mask is none."""
    assert makers.is_square(op("square", [RANGE], RANGE))
    assert makers.is_square(op("pow", [RANGE], RANGE, scalars=(2.0,)))
    assert not makers.is_square(op("pow", [RANGE], RANGE, scalars=(3.0,)))
    assert makers.is_square(op("mul", [RANGE, RANGE], RANGE, made_by=(1, 1)))
    assert makers.is_square(op("bmm", [RANGE, RANGE], RANGE, made_by=(1, 2)))
    assert not makers.is_square(op("mul", [tensor("self", 0.0, 1.0)] * 2, RANGE, made_by=(1, 2)))
    assert not makers.is_square(op("mul", [RANGE, tensor("other", -1.0)], RANGE, made_by=(1, 1)))
    assert not makers.is_square(op("mul", [RANGE], RANGE, scalars=(2.0,), made_by=(1,)))
