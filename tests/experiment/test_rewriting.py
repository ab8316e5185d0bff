"""The modes: what they see, what they replace, and that nothing else changes."""

import torch
from torch import Tensor

from evenkeel.core.place import Place
from evenkeel.experiment.forms.table import FORMS
from evenkeel.experiment.rewriting import Rewriting, Search

SOFTPLUS = next(form for form in FORMS if form.name == "softplus")


def rectified(x: Tensor) -> Tensor:
    """A softplus."""
    return torch.log(1 + torch.exp(x))


def rectified_twice(x: Tensor) -> Tensor:
    """Two of them in different lines."""
    y = torch.log(1 + torch.exp(x))
    return y + torch.log(1 + torch.exp(x))


def line_of(function, offset: int = 2) -> Place:  # noqa: ANN001
    """A line of a function of this file."""
    code = function.__code__
    return Place(file=code.co_filename, line=code.co_firstlineno + offset, scope=code.co_name, source="")


def test_only_the_line_of_the_origin_is_replaced() -> None:
    """The other one is as it was."""
    place, x = line_of(rectified_twice, 3), torch.tensor([100.0])
    with Rewriting(SOFTPLUS, place, lambda: place) as mode:
        assert rectified(x).item() == torch.inf
        assert rectified_twice(x).item() == torch.inf
    assert len(mode.edits) == 1


def test_another_line_that_runs_meanwhile_is_not_the_origin() -> None:
    """A user's function that the line calls, say."""
    place, x = line_of(rectified), torch.tensor([100.0])
    with Rewriting(SOFTPLUS, place, lambda: None) as mode:
        assert rectified(x).item() == torch.inf
    assert not mode.edits


def test_backward_follows_the_form() -> None:
    """Without a mode of its own."""
    place, x = line_of(rectified), torch.tensor([100.0], requires_grad=True)
    with Rewriting(SOFTPLUS, place, lambda: place):
        loss = rectified(x)
    loss.backward()
    assert x.grad is not None
    assert x.grad.item() == 1.0


def test_the_search_changes_nothing() -> None:
    """And finds what would."""
    place, x = line_of(rectified), torch.tensor([100.0])
    with Search(FORMS, place, lambda: place) as mode:
        assert rectified(x).item() == torch.inf
    assert "softplus" in mode.found
    assert "log_softmax" not in mode.found


def test_an_in_place_call_keeps_its_memory() -> None:
    """Whoever holds the tensor sees the form's value."""

    def write(x: Tensor) -> Tensor:
        e = torch.exp(x) + 1
        held = e
        e.log_()
        return held

    place, x = line_of(write, 3), torch.tensor([100.0], requires_grad=True)
    with Rewriting(SOFTPLUS, place, lambda: place):
        y = write(x)
    assert y.item() == 100.0
    (gradient,) = torch.autograd.grad(y, x)
    assert gradient.item() == 1.0


def test_a_view_is_not_written_by_a_form() -> None:
    """Its base would miss it."""

    def write(x: Tensor) -> Tensor:
        e = 2 * x
        e[0].sqrt_()
        return e

    place, x = line_of(write, 2), torch.tensor([8.0], requires_grad=True)
    with Rewriting(next(form for form in FORMS if form.name == "ops.sqrt"), place, lambda: place) as mode:
        assert write(x).item() == 4.0
    assert not mode.edits


def doubled_in_place(x: Tensor) -> Tensor:
    """What was multiplied in place is, as far as the history knows, made of itself."""
    y = x.clone()
    y.mul_(2.0)
    return torch.log(y.sum(dim=0))


def test_what_was_made_of_itself_has_an_end() -> None:
    """The search for exponentials behind a sum does not run round in it."""
    place, x = line_of(doubled_in_place, 4), torch.ones(3)
    with Search(FORMS, place, lambda: place):
        assert doubled_in_place(x).item() == torch.log(torch.tensor(6.0)).item()
