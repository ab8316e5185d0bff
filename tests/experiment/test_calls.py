"""Calls: one name for all spellings, operands in the order of the text."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from evenkeel.experiment.calls import Call, edited, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("__truediv__", "div"),
        ("true_divide", "div"),
        ("div_", "div"),
        ("__rdiv__", "div"),
        ("arccos", "acos"),
        ("special_expit", "sigmoid"),
        ("__getitem__", "getitem"),
        ("log_softmax", "log_softmax"),
        ("clip", "clamp"),
    ],
)
def test_spellings_have_one_name(name: str, plain: str) -> None:
    """Functions, methods, operators, aliases, in-place forms."""
    assert plain_name(name) == plain


def test_reflected_operators_have_the_left_side_first() -> None:
    """1 - x is x.__rsub__(1)."""
    x = torch.tensor([3.0])
    call = Call.of(Tensor.__rsub__, (x, 1), {})
    assert call.args == (1, x)
    assert call.again((5, x)).tolist() == [2.0]


def test_operands_by_place_and_name() -> None:
    """With torch's other names for them."""
    x = torch.ones(2, 3)
    assert Call.of(torch.sum, (x,), {"axis": 1}).dims() == (1,)
    assert Call.of(torch.sum, (x, -1), {}).dims() == (1,)
    assert Call.of(torch.sum, (x,), {}).dims() == (0, 1)
    assert Call.of(torch.sum, (x, (0, -1)), {}).dims() == (0, 1)
    assert Call.of(F.softmax, (x,), {"dim": 1}).argument(1, "dim") == 1
    assert Call.of(torch.pow, (x, 0.5), {}).number(1) == 0.5
    assert Call.of(torch.mul, (x, torch.tensor(2.0)), {}).number(1) == 2.0
    assert Call.of(torch.mul, (x, torch.tensor(2.0, requires_grad=True)), {}).number(1) is None


def test_an_operand_that_was_written_to_is_not_handed_out() -> None:
    """It is no longer what the call was made with."""
    x = torch.ones(2)
    call = Call.of(torch.exp, (x,), {})
    assert call.tensor(0) is x
    x.add_(1)
    assert call.tensor(0) is None


def test_calls_in_inference_mode_have_no_versions() -> None:
    """Torch does not count there."""
    with torch.inference_mode():
        x = torch.ones(2)
    assert Call.of(torch.exp, (x,), {}).tensor(0) is x


def test_what_returns_something_else_is_told() -> None:
    """A form asks for one tensor."""
    x = torch.ones(2, 2)
    with pytest.raises(TypeError, match=r"max was called again for one tensor, and returned max"):
        Call.of(torch.max, (x, 0), {}).again((x, 0))


def test_without_a_place_in_the_text_there_is_no_edit() -> None:
    """Nothing is guessed."""
    call = Call.of(torch.log, (torch.ones(2),), {})
    assert call.hole(0) is None
    assert edited(call, "torch.log1p({0})", call.hole(0)) == ()
