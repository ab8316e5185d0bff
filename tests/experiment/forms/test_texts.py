"""What a form says of the user's text: the patched formula computes what the form computed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.experiment.forms.formulas import Formula
from tests.experiment.forms.test_forms import BY_NAME, FORMULAS, name_of, result_of

from evenkeel.patch.apply import Patched, patched

# an in-place call, a mean of exp, two edits that share a condition, the sign of a quaternion, a root far off
WITHOUT_TEXT = 5


def test_most_have_a_text() -> None:
    """The exceptions are counted."""
    assert sum(not formula.has_text for formula in FORMULAS) == WITHOUT_TEXT


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("formula", [f for f in FORMULAS if f.has_text], ids=name_of)
def test_the_patched_formula_computes_the_form(formula: Formula) -> None:
    """In value and slope, where the formula as it was written failed."""
    stable, edits = result_of(formula, BY_NAME[formula.form], formula.edge)
    assert all(edits)
    text = patched(alone(formula), [edit for made in edits for edit in made])
    assert isinstance(text, Patched), text
    again, _ = result_of(formula_in(text.text), None, formula.edge)
    for one, other in zip(again, stable, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def alone(formula: Formula) -> str:
    """The file of a formula with the lines of all others left blank: LibCST is slow."""
    text = Path(formula.place.file).read_text()
    position = [f for f in FORMULAS if f.place.file == formula.place.file].index(formula)
    tree = ast.parse(text)
    rows = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Formula"]
    rows.sort(key=lambda node: node.lineno)
    others = [row for i, row in enumerate(rows) if i != position]
    named = {node.id for node in ast.walk(rows[position]) if isinstance(node, ast.Name)} | {"turn"}
    kinds = (ast.FunctionDef, ast.ClassDef)
    unused = [node for node in tree.body if isinstance(node, kinds) and node.name not in named]
    blank = set(_lines_of(*others, *unused))
    return "".join("\n" if n in blank else line for n, line in enumerate(text.splitlines(keepends=True), start=1))


def formula_in(text: str) -> Formula:
    """The one formula of a text."""
    names: dict[str, object] = {"__name__": "patched"}
    exec(compile(text, "patched", "exec"), names)  # noqa: S102  # a file of these tests, with one expression replaced
    (table,) = (value for name, value in names.items() if name.startswith("OF_"))
    assert isinstance(table, tuple)
    (formula,) = table
    assert isinstance(formula, Formula)
    return formula


def _lines_of(*nodes: ast.expr | ast.stmt) -> Iterator[int]:
    for node in nodes:
        last = node.end_lineno or node.lineno
        yield from range(node.lineno, last + 1)
