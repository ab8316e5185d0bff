"""A guard against bad values stands on the way and cannot work.

What you see:
    Code that tests for NaN or adds an eps, and fails all the same.
Why:
    x == nan is never true, whatever x is. An eps outside of a root, a logarithm or a quotient mends the value at
    best: the infinite slope, or the division by 0, lies inside.
Bad:
    x = torch.where(x == float("nan"), 0, x); std = torch.sqrt(var) + eps
Good:
    bad = torch.isnan(x); std = torch.sqrt(var + eps)
Not this:
    It does not make the bad value: the cause of the operation that did comes first.
Source:
    pylint W0177 and ruff PLW0177 (comparison with NaN); pytorch_stoi PR#14 (eps after the root).
"""

from __future__ import annotations

import ast
import math
from contextlib import suppress

from evenkeel.core.case import Case, Origin
from evenkeel.core.cause import Cause, Family
from evenkeel.core.operation import Operation
from evenkeel.diagnose import evidence, words

CODE = "EK292"
FAMILY: Family = "masking"

_COMPARISONS = frozenset({"eq", "ne"})
_SINGULAR_CALLS = frozenset({"sqrt", "rsqrt", "log", "log2", "log10", "reciprocal"})
_SMALL = 1e-2

Found = tuple[str, str, Operation]  # what does not work, what to do, the operation whose numbers show it


def judge(case: Case) -> Cause | None:
    """A comparison with NaN among what led to the failure, or an eps outside of the operation that failed."""
    found = _comparison(case) or _outside(case)
    if found is None:
        return None
    what, advice, guard = found
    return Cause(
        name="guard_that_cannot_fire",
        code=CODE,
        family=FAMILY,
        text=what,
        evidence=tuple(words.tensor(stats) for stats in guard.inputs),
        confidence=0.4,
        advice=advice,
    )


def _comparison(case: Case) -> Found | None:
    """`x == nan`: true nowhere; `x != nan`: true everywhere."""
    met = (*case.upstream, *case.incoming)
    guard = next((o for o in met if evidence.base(o) in _COMPARISONS and any(map(math.isnan, o.scalars))), None)
    if guard is None:
        return None
    always = "false" if evidence.base(guard) == "eq" else "true"
    what = (
        f"The comparison with NaN{words.cite(guard)} is {always} everywhere, whatever it is given: NaN equals nothing, "
        "itself included. What it was to guard goes on unguarded."
    )
    advice = (
        "Test with torch.isnan or torch.isfinite. Once the test works, decide what shall happen to such a step: skip "
        "and count it, and mend the line that makes the bad value."
    )
    return what, advice, guard


def _outside(case: Case) -> Found | None:
    """An eps added to the result of the operation that failed at 0, read from its line."""
    origin = evidence.born(case)
    place = origin.operation.place if origin is not None else None
    if origin is None or place is None or not _fails_at_zero(origin):
        return None
    added = _added_outside(place.source, evidence.base(origin.operation))
    if added is None:
        return None
    inner, outer = added
    what = f"{outer} is added after {inner}{words.cite(origin.operation)}, which fails by itself: it guards nothing."
    advice = f"Put the eps inside, into the argument or the denominator of {inner}: value and slope need it there."
    return what, advice, origin.operation


def _fails_at_zero(origin: Origin) -> bool:
    """Optimizers add their eps after the root on purpose: nothing is differentiated there."""
    operation = origin.operation
    at_zero = bool(operation.inputs) and evidence.num_zeros(operation.inputs[0]) > 0
    return operation.phase != "optimizer" and (evidence.divides_by_zero(origin) or at_zero)


def _added_outside(source: str, function: str) -> tuple[str, str] | None:
    """In `torch.sqrt(v) + eps`: the call and the eps, as they are written."""
    with suppress(SyntaxError):
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
                continue
            if _is_eps(node.right) and _is_operation(node.left, function):
                return ast.unparse(node.left), ast.unparse(node.right)
    return None


def _is_eps(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, float) and 0.0 < node.value <= _SMALL
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return "eps" in name.lower()


def _is_operation(node: ast.expr, function: str) -> bool:
    """Whether it is the call, or the quotient, that failed."""
    if isinstance(node, ast.BinOp):
        return function in evidence.DIVISIONS and isinstance(node.op, ast.Div)
    called = node.func if isinstance(node, ast.Call) else None
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    return function in _SINGULAR_CALLS and name.strip("_") == function
