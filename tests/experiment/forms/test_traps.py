"""Repairs that mend the value and break the slope: tried like a form, each is refused; and no form offers one."""

from collections.abc import Callable
from contextlib import contextmanager

import pytest
import torch
from tests.experiment.case_runs import run
from tests.experiment.forms.formulas import Formula, pair, skip_where_healthy, t
from tests.experiment.forms.test_forms import BY_NAME, FORMULAS, are_finite, result_of
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from evenkeel.core.edit import Edit
from evenkeel.experiment.calls import Call
from evenkeel.experiment.forms.form import Form, Stable, form
from evenkeel.experiment.history import History
from evenkeel.step.window import HandOut

FORBIDDEN = ("nan_to_num", "torch.xlogy", "entr(", ".abs()", "nansum", "nanmean", "isfinite", "isnan", "1e-8", "detach")


def trap(name: str, function: str, repaired: Callable[..., Tensor]) -> Form:
    """A repair that takes the operands of one call."""

    def rewrite(call: Call, _history: History) -> Stable:
        return Stable(compute=lambda: repaired(*call.args), of=(call,))

    return form(name, function, "", function, rewrite)


def entropy(p: Tensor) -> Tensor:
    """Of probabilities."""
    return -(p * torch.log(p)).sum()  # origin


def attention_weights(x: Tensor) -> Tensor:
    """With a mask that is added."""
    score = x + torch.zeros_like(x).masked_fill(x > 5, -torch.inf)
    return torch.softmax(score, -1)  # origin


def length(x: Tensor) -> Tensor:
    """Of rows."""
    return torch.sqrt((x * x).sum(1))  # origin


def arc(x: Tensor, y: Tensor) -> Tensor:
    """Between unit vectors."""
    return torch.acos((x * y).sum(1))  # origin


def guarded_log(x: Tensor) -> Tensor:
    """Guarded once."""
    return torch.where(x > 0, torch.log(x), 0.0) * x  # origin


def fractional(x: Tensor) -> Tensor:
    """A power below 1."""
    return (x * x).pow(0.5)  # origin


ZERO_ROW = t([0.0, 0.0], [3.0, 4.0])
TRAPS = (
    (trap("xlogy(p, p)", "mul", lambda p, _: torch.xlogy(p, p)), Formula("ops.xlogy", entropy, t, t(0.0, 0.5))),
    (trap("entr(p)", "mul", lambda p, _: -torch.special.entr(p)), Formula("ops.xlogy", entropy, t, t(0.0, 0.5))),
    (
        trap("nan_to_num after softmax", "softmax", lambda x, d: torch.nan_to_num(torch.softmax(x, d))),
        Formula("softmax of closed rows", attention_weights, t, t([6.0, 7.0], [0.0, 1.0])),
    ),
    (trap("eps after the root", "sqrt", lambda x: torch.sqrt(x) + 1e-8), Formula("norm", length, t, ZERO_ROW)),
    (
        trap("clamp to [-1, 1]", "acos", lambda x: torch.acos(x.clamp(-1, 1))),
        Formula("ops.sphere_distance", arc, t, pair([[0.6, 0.8]], [[0.6, 0.8]]), at_bound=True),
    ),
    (
        trap("where alone", "log", lambda x: torch.where(x > 0, torch.log(x), 0.0)),
        Formula("double where", guarded_log, t, t(0.0, 2.0)),
    ),
    (
        trap("abs before the power", "pow", lambda x, p: x.abs().pow(p)),
        Formula("ops.sqrt", fractional, t, t(0.0, 2.0)),
    ),
)


@pytest.mark.parametrize(("repair", "formula"), TRAPS, ids=[repair.name for repair, _ in TRAPS])
def test_a_trap_is_refused_where_a_form_is_healthy(repair: Form, formula: Formula) -> None:
    """The value is finite, and the slope tells."""
    skip_where_healthy(formula)
    trapped, edits = result_of(formula, repair, formula.edge)
    assert edits
    assert are_finite(trapped[:1])
    assert not are_finite(trapped)
    assert are_finite(result_of(formula, BY_NAME[formula.form], formula.edge)[0])


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
def test_no_form_writes_a_trap() -> None:
    """Of all that forms put into a user's text."""
    edits = [e for f in FORMULAS for made in result_of(f, BY_NAME[f.form], f.edge)[1] for e in made]
    assert len(edits) > 100
    assert not [edit.template for edit in edits if any(word in edit.template for word in FORBIDDEN)]


class AtTheUpdate:
    """Does something to the optimizer just before the update."""

    name = "trap"
    changed = remedy = ""
    edits: tuple[Edit, ...] = ()
    keeps_loss = False
    took_effect = True

    def __init__(self, act: Callable[[torch.optim.Optimizer], None]) -> None:
        """Remember what."""
        self.act = act

    def batch(self, hand_out: HandOut) -> object:
        """As it was."""
        return hand_out.again()

    @contextmanager
    def during(self):  # noqa: ANN201
        """The hook is in place."""
        hook = register_optimizer_step_pre_hook(lambda optimizer, *_: self.act(optimizer))
        yield
        hook.remove()


def lower_the_rate(optimizer: torch.optim.Optimizer) -> None:
    """The accepted answer for the log of a softmax."""
    optimizer.param_groups[0]["lr"] *= 1e-3


def multiply_by_zero(optimizer: torch.optim.Optimizer) -> None:
    """So that a bad gradient does no harm."""
    for p in optimizer.param_groups[0]["params"]:
        p.grad.mul_(0)


@pytest.mark.parametrize("act", [lower_the_rate, multiply_by_zero])
def test_what_is_done_to_the_update_does_not_mend_the_step(act: Callable[[torch.optim.Optimizer], None]) -> None:
    """The logits are saturated; and 0 times nan is nan."""
    assert run("t02_pixels", AtTheUpdate(act)).healthy[-2:] == [False, False]


def test_a_constant_loss_is_no_form() -> None:
    """It has no way back; every form has one wherever the formula has."""
    repair = trap("zero", "sqrt", lambda x: torch.zeros(len(x), dtype=x.dtype))
    with pytest.raises(RuntimeError, match="does not require grad"):
        result_of(Formula("norm", length, t, ZERO_ROW), repair, ZERO_ROW)
