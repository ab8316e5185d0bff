"""Numbers, ranges and places read as a person would write them."""

from tests.diagnose.build import INF, NAN, element, leaf, op, tensor

from evenkeel.core.case import Origin
from evenkeel.diagnose import words


def test_tensor_in_a_line() -> None:
    """Name, dtype, shape, range and what is not finite."""
    assert words.tensor(tensor("self", 0.0, 1.0, NAN, INF)) == "self, float32 of shape [4]: 0 to 1, 1 NaN, 1 inf"


def test_place_is_told_once() -> None:
    """The same line is not cited twice in a sentence."""
    one, same, other = op("log", line=3), op("softmax", line=3), op("softmax", line=2)
    assert words.cite(one) == " (train.py:3 in loss_fn)"
    assert words.cite(same, unless=one) == ""
    assert words.cite(other, unless=one) == " (train.py:2 in loss_fn)"


def test_elements_are_counted_by_what_is_bad_in_the_output() -> None:
    """One index, and how many more there are; nothing for a scalar."""
    many = op("log", [tensor("self", 0.0)], (-INF, -INF, -INF, 0.0))
    assert words.at(Origin(operation=many, elements=(element([0.0], -INF, (3, 1)),))) == " at [3, 1] and 2 more"
    assert words.at(Origin(operation=many, elements=(element([0.0], -INF, ()),))) == ""
    assert words.at(Origin(operation=many)) == ""


def test_lists_are_cut_and_leaves_named() -> None:
    """A few distinct values; what kind of tensor came in."""
    assert words.some([1.0, 1.0, 2.0]) == "1, 2"
    assert words.some([float(i) for i in range(9)]) == "0, 1, 2, 3, …"
    assert words.leaf(leaf("external", "mask", 1.0)) == "a tensor from outside the loader mask"
