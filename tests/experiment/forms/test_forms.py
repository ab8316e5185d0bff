"""Each stable form: equal to the formula where that is healthy, finite where it is not, and written as it computes."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.experiment.forms.formulas import Formula, skip_where_healthy
from tests.experiment.forms.formulas_of_choices import OF_CHOICES
from tests.experiment.forms.formulas_of_logarithms import OF_LOGARITHMS
from tests.experiment.forms.formulas_of_roots import OF_ROOTS
from torch import Tensor

from evenkeel.core.edit import Edit
from evenkeel.experiment.forms.form import Form
from evenkeel.experiment.forms.table import FORMS
from evenkeel.experiment.rewriting import Rewriting

FORMULAS = (*OF_LOGARITHMS, *OF_ROOTS, *OF_CHOICES)
WITHOUT_FORMULA = {"attention of closed rows"}  # a layer: see test_rows.py
BY_NAME = {form.name: form for form in FORMS}


def name_of(formula: Formula) -> str:
    """The form and the line of the formula."""
    return f"{formula.form}, {Path(formula.place.file).stem} {formula.place.line}"


def result_of(formula: Formula, form: Form | None, operands: tuple[Tensor, ...]) -> tuple[list[Tensor], list]:
    """Value and gradients, with the form in force; and what it says of the text."""
    leaves = [x.clone().requires_grad_() for x in operands]
    edits: list[tuple[Edit, ...]] = []
    if form is None:
        value = formula.naive(*leaves)
    else:
        with Rewriting(form, formula.place, lambda: formula.place) as mode:
            value = formula.naive(*leaves)
        edits = mode.edits
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype).view(value.shape)
    gradients = torch.autograd.grad(value, leaves, weights, allow_unused=True)
    return [value.detach(), *(g for g in gradients if g is not None)], edits


def are_finite(tensors: list[Tensor]) -> bool:
    """Whether there is nothing but numbers."""
    return all(bool(x.isfinite().all()) for x in tensors)


def test_each_form_has_a_formula() -> None:
    """No form is left out, and names are not given twice."""
    assert len(BY_NAME) == len(FORMS)
    assert {formula.form for formula in FORMULAS} == set(BY_NAME) - WITHOUT_FORMULA


@pytest.mark.parametrize("formula", FORMULAS, ids=name_of)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_is_the_formula_where_that_is_healthy(formula: Formula, seed: int) -> None:
    """Value and slope agree within rounding."""
    operands = formula.regular(torch.Generator().manual_seed(seed))
    naive, _ = result_of(formula, None, operands)
    if not are_finite(naive):
        return
    stable, _ = result_of(formula, BY_NAME[formula.form], operands)
    for one, other in zip(stable, naive, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("formula", FORMULAS, ids=name_of)
def test_is_finite_where_the_formula_is_not(formula: Formula) -> None:
    """The form takes effect there; and elements that were healthy keep their values."""
    skip_where_healthy(formula)
    naive, _ = result_of(formula, None, formula.edge)
    stable, edits = result_of(formula, BY_NAME[formula.form], formula.edge)
    assert not are_finite(naive)
    assert edits
    assert are_finite(stable)
    healthy = naive[0].isfinite()
    torch.testing.assert_close(stable[0][healthy], naive[0][healthy], rtol=1e-8, atol=1e-8)


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("overlap of nothing", 1.0),
        ("ops.divide", 0.0),
        ("count at least 1", 0.0),
        ("share of a total", 0.0),
        ("mean of nothing", 0.0),
        ("loss of nothing", 0.0),
        ("no label", 0.0),
        ("ops.std", 0.0),
        ("ops.sqrt", 0.0),
        ("softmax of closed rows", 0.0),
        ("ops.rotation_log_factor", 0.5),
        ("sinc", 1.0),
        ("squared sinc", 0.5),
        ("ops.xlogy", 0.0),
    ],
)
def test_what_a_form_gives_where_the_formula_gives_nothing(form: str, value: float) -> None:
    """What is mathematically right, or agreed: two empty sets agree, nothing in nothing is 0."""
    formula = next(f for f in FORMULAS if f.form == form)
    (naive, *_), _ = result_of(formula, None, formula.edge)
    (stable, *_), _ = result_of(formula, BY_NAME[form], formula.edge)
    concerned = ~naive.isfinite() if not bool(naive.isfinite().all()) else naive == 0
    assert bool(concerned.any())
    assert stable[concerned].unique().tolist() == [value]


@pytest.mark.parametrize("formula", FORMULAS, ids=name_of)
def test_answers_in_the_format_of_the_formula(formula: Formula) -> None:
    """Value and gradients of a program in float32 do not change their dtype or shape."""
    operands = tuple(x.float() for x in formula.regular(torch.Generator().manual_seed(0)))
    naive, _ = result_of(formula, None, operands)
    stable, _ = result_of(formula, BY_NAME[formula.form], operands)
    assert [(x.dtype, x.shape) for x in stable] == [(x.dtype, x.shape) for x in naive]
