"""Edits carried out on the user's text: what is meant changes, and nothing else."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evenkeel.core.edit import Edit, Hole, Span
from evenkeel.core.patch import Rewrite
from evenkeel.patch import Refusal, patched
from evenkeel.patch.apply import Patched

Spans = Callable[..., Span]
Stable = Callable[..., Edit]


def after(text: str, *edits: Edit) -> str:
    """The text with the edits carried out."""
    done = patched(text, edits)
    assert isinstance(done, Patched), done
    return done.text


def why_not(text: str, *edits: Edit) -> str:
    """Why they are not."""
    done = patched(text, edits)
    assert isinstance(done, Refusal), done
    return done.why


MANY_LINES_SOFTMAX = """torch.softmax(
            x + 1,  # the logits
            dim=1,
        )"""
MANY_LINES_LOG = f"""torch.log(  # why not
        {MANY_LINES_SOFTMAX}
    )"""
MANY_LINES = f"""\
def f(x):
    loss = {MANY_LINES_LOG}  # end
    return loss
"""
MANY_LINES_AFTER = """\
def f(x):
    # why not
    # the logits
    loss = torch.log_softmax(x + 1, dim=1)  # end
    return loss
"""
SHAPES = {
    "one statement": (
        "loss = torch.log(torch.softmax(x, 1)).mean()\n",
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        "loss = torch.log_softmax(x, dim=1).mean()\n",
    ),
    "two statements": (
        "p = torch.softmax(x, 1)  # rows\nq = 1\nloss = torch.log(p)\n",
        "torch.log(p)",
        "torch.softmax(x, 1)",
        "p = torch.softmax(x, 1)  # rows\nq = 1\nloss = torch.log_softmax(x, dim=1)\n",
    ),
    "operands by name, in another order": (
        "loss = torch.log(torch.softmax(dim=-1, input=x))\n",
        "torch.log(torch.softmax(dim=-1, input=x))",
        "torch.softmax(dim=-1, input=x)",
        "loss = torch.log_softmax(x, dim=-1)\n",
    ),
    "NumPy's names": (
        "loss = torch.log(torch.softmax(x, axis=2))\n",
        "torch.log(torch.softmax(x, axis=2))",
        "torch.softmax(x, axis=2)",
        "loss = torch.log_softmax(x, dim=2)\n",
    ),
    "an operand left unsaid": (
        "loss = torch.log(softmax_of_rows(x))\n",
        "torch.log(softmax_of_rows(x))",
        "softmax_of_rows(x)",
        "loss = torch.log_softmax(x, dim=-1)\n",
    ),
    "over several lines, with comments": (MANY_LINES, MANY_LINES_LOG, MANY_LINES_SOFTMAX, MANY_LINES_AFTER),
    "operand over several lines": (
        "loss = torch.log(torch.softmax(x +  # both\n    y, 1))\n",
        "torch.log(torch.softmax(x +  # both\n    y, 1))",
        "torch.softmax(x +  # both\n    y, 1)",
        "loss = torch.log_softmax(x +  # both\n    y, dim=1)\n",
    ),
    "beyond letters of several bytes": (
        'größe = "ü→é"; loss = torch.log(torch.softmax(größe_x, 1)) + "ß"\n',
        "torch.log(torch.softmax(größe_x, 1))",
        "torch.softmax(größe_x, 1)",
        'größe = "ü→é"; loss = torch.log_softmax(größe_x, dim=1) + "ß"\n',
    ),
    "inside of an f-string": (
        'print(f"é {torch.log(torch.softmax(x, 1)).mean():.3f}")\n',
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        'print(f"é {torch.log_softmax(x, dim=1).mean():.3f}")\n',
    ),
    "in parentheses": (
        "loss = (  # a\n    torch.log(torch.softmax(x, 1))\n)  # b\n",
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        "loss = (  # a\n    torch.log_softmax(x, dim=1)\n)  # b\n",
    ),
    "line ends of Windows": (
        "a = 1\r\nloss = torch.log(torch.softmax(x, 1))\r\nb = 2",
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        "a = 1\r\nloss = torch.log_softmax(x, dim=1)\r\nb = 2",
    ),
    "a header of a block": (
        "if a:\n    b = 1\nelif torch.log(\n  torch.softmax(x, 1)  # hm\n):\n    # c\n    d = 1\n",
        "torch.log(\n  torch.softmax(x, 1)  # hm\n)",
        "torch.softmax(x, 1)",
        "if a:\n    b = 1\n# hm\nelif torch.log_softmax(x, dim=1):\n    # c\n    d = 1\n",
    ),
    "a block on one line": (
        "while torch.log(torch.softmax(x, 1)): pass\n",
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        "while torch.log_softmax(x, dim=1): pass\n",
    ),
    "a form feed and a line separator in a string": (
        's = "\u2028\x0c"\n\x0c\nloss = torch.log(torch.softmax(x, 1))\n',
        "torch.log(torch.softmax(x, 1))",
        "torch.softmax(x, 1)",
        's = "\u2028\x0c"\n\x0c\nloss = torch.log_softmax(x, dim=1)\n',
    ),
}


@pytest.mark.parametrize(("text", "log", "softmax", "wanted"), SHAPES.values(), ids=SHAPES)
def test_shapes(text: str, log: str, softmax: str, wanted: str, stable: Stable) -> None:
    """Every way to write the same two calls."""
    assert after(text, stable(text, log, softmax, imports=())) == wanted


def test_a_method_on_a_line_of_its_own(spans: Spans) -> None:
    """Bytecode tells such a call from the method's name on."""
    text = "loss = (x\n  .softmax(1)\n  .log())\n"
    hole = Hole(span=spans(text, "softmax(1)"), position=0, keyword="input", is_method=True)
    edit = Edit(span=spans(text, "log()"), template="{0}.log_softmax({1})", holes=(hole, replace(hole, position=1)))
    assert after(text, edit) == "loss = (x.log_softmax(1))\n"


@pytest.mark.parametrize(
    ("text", "edited", "template", "wanted"),
    [
        ("y = a / b\n", "a / b", "ops.divide({0}, {1})", "y = ops.divide(a, b)\n"),
        ("y = a * b - c / d\n", "c / d", "({0} - {1})", "y = a * b - (c - d)\n"),
        ("y = 2 * (a / b)\n", "a / b", "{0} - {1}", "y = 2 * (a - b)\n"),
        ("y = 2 * a / b\n", "2 * a / b", "{1} / {0}", "y = b / (2 * a)\n"),
        ("y = (a + 1) / b\n", "(a + 1) / b", "{0}.div({1})", "y = (a + 1).div(b)\n"),
        ("y = (a + 1) / b\n", "(a + 1) / b", "f({0}, {1})", "y = f(a + 1, b)\n"),
        ("y = f(a if c else b, 1)\n", "f(a if c else b, 1)", "{0} + {1}", "y = (a if c else b) + 1\n"),
        ("y = f(a, b).g\n", "f(a, b)", "{0} + {1}", "y = (a + b).g\n"),
        ("y = f(a, b) ** 2\n", "f(a, b)", "-{0} * {1}", "y = (-a * b) ** 2\n"),
        ("y = 2 ** f(a, b)\n", "f(a, b)", "-{0}", "y = 2 ** -a\n"),
        ("y = c * f(a, b)\n", "f(a, b)", "{0} * {1}", "y = c * (a * b)\n"),
        ("y = f(a, b) * c\n", "f(a, b)", "{0} * {1}", "y = a * b * c\n"),
        ("y = f(1, b)\n", "f(1, b)", "{0}.real", "y = (1).real\n"),
        ("y = f((a, b), c)\n", "f((a, b), c)", "g({0}, {1})", "y = g((a, b), c)\n"),
        ("y = f(lambda: 1, c)\n", "f(lambda: 1, c)", "g({1}, {0})", "y = g(c, lambda: 1)\n"),
        ("def f(x):\n    return-x\n", "-x", "abs({0})", "def f(x):\n    return(abs(x))\n"),
        ("y = f(a +\n  1, b)\n", "f(a +\n  1, b)", "{0}", "y = (a +\n  1)\n"),
        ("def g():\n    y = f((yield a), b)\n", "f((yield a), b)", "h({0})", "def g():\n    y = h((yield a))\n"),
        ("y = f((z := a), b)\n", "f((z := a), b)", "h(k={0})", "y = h(k=(z := a))\n"),
        ("y = f((a, *b), c)\n", "f((a, *b), c)", "h({0})", "y = h((a, *b))\n"),
        ("y = f(i for i in b)\n", "f(i for i in b)", "h({0}, 1)", "y = h((i for i in b), 1)\n"),
        ("y = f(a  and  b, c)\n", "f(a  and  b, c)", "not {0}", "y = not (a  and  b)\n"),
    ],
)
def test_precedence(text: str, edited: str, template: str, wanted: str, spans: Spans) -> None:
    """Parentheses come where the text would be read differently without, and nowhere else."""
    where = spans(text, edited)
    holes = tuple(Hole(span=where, position=i, default="none") for i in range(2))
    assert after(text, Edit(span=where, template=template, holes=holes)) == wanted


def test_several_edits_of_one_file(stable: Stable, spans: Spans) -> None:
    """In any order, each once however often it is given; what became what is told by line."""
    text = "a = torch.log(torch.softmax(x, 1))\nb = torch.log(torch.softmax(y, 0)) / n\n"
    first = stable(text, "torch.log(torch.softmax(x, 1))", "torch.softmax(x, 1)", imports=())
    second = stable(text, "torch.log(torch.softmax(y, 0))", "torch.softmax(y, 0)", imports=())
    done = patched(text, [second, first, second])
    assert isinstance(done, Patched)
    assert done.text == "a = torch.log_softmax(x, dim=1)\nb = torch.log_softmax(y, dim=0) / n\n"
    assert done.rewrites == (
        Rewrite(line=1, before="torch.log(torch.softmax(x, 1))", after="torch.log_softmax(x, dim=1)"),
        Rewrite(line=2, before="torch.log(torch.softmax(y, 0))", after="torch.log_softmax(y, dim=0)"),
    )


REFUSED = {
    "another function": (
        "def p(x):\n    return torch.softmax(x, 1)\nloss = torch.log(p(x))\n",
        "torch.log(p(x))",
        "stands in another function",
    ),
    "a comprehension": (
        "ps = [torch.softmax(x, 1) for x in xs]\nloss = torch.log(ps)\n",
        "torch.log(ps)",
        "stands in another function",
    ),
    "assigned": ("p = torch.softmax(x, 1)\nx = 3\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives it one"),
    "assigned by the same statement": (
        "x = torch.softmax(x, 1)\nloss = torch.log(x)\n",
        "torch.log(x)",
        "x may have another value",
    ),
    "augmented": ("p = torch.softmax(x, 1)\nx += 3\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives it one"),
    "unpacked": ("p = torch.softmax(x, 1)\n(x, *y), z = q\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives"),
    "for": ("p = torch.softmax(x, 1)\nfor x in q: pass\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives it one"),
    "with": (
        "p = torch.softmax(x, 1)\nwith q as x: pass\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 2 gives it one",
    ),
    "walrus": ("p = torch.softmax(x, 1)\nq = (x := 3)\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives it one"),
    "walrus in the same statement": (
        "loss = [p := torch.softmax(x, 1), x := 1, torch.log(p)]\n",
        "torch.log(p)",
        "line 1 gives it one",
    ),
    "element": ("p = torch.softmax(x, 1)\nx[0] = 3\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives it one"),
    "in place": ("p = torch.softmax(x, 1)\nx.data.mul_(3)\nloss = torch.log(p)\n", "torch.log(p)", "line 2 gives"),
    "in place by flag": (
        "p = torch.softmax(x, 1)\nrelu(x, inplace=True)\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 2",
    ),
    "out": (
        "p = torch.softmax(x, 1)\ntorch.exp(y, out=x)\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 2 gives it one",
    ),
    "import": (
        "p = torch.softmax(x, 1)\nfrom q import x\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 2 gives it one",
    ),
    "later in the loop": (
        "p = torch.softmax(x, 1)\nfor i in q:\n    loss = torch.log(p)\n    x = x + 1\n",
        "torch.log(p)",
        "line 4 gives it one",
    ),
    "only sometimes before": (
        "p = q\nif c:\n    p = torch.softmax(x, 1)\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 3 does not run each time before line 4",
    ),
    "after": (
        "for i in q:\n    loss = torch.log(p)\n    p = torch.softmax(x, 1)\n",
        "torch.log(p)",
        "line 3 does not run each time before line 2",
    ),
    "in the header of its block": (
        "for p in torch.softmax(x, 1):\n    loss = torch.log(p)\n",
        "torch.log(p)",
        "does not run each time",
    ),
    "replaced on the way": (
        "p = torch.softmax(x, 1)\nif c:\n    p = p * 2\nloss = torch.log(p)\n",
        "torch.log(p)",
        "line 3 may give p another value for torch.log(p) (line 4)",
    ),
    "replaced in the next turn": (
        "p = torch.softmax(x, 1)\nfor i in q:\n    loss = torch.log(p)\n    p = p * 2\n",
        "torch.log(p)",
        "line 4 may give p another value",
    ),
    "replaced in another branch": (
        "p = torch.softmax(x, 1)\nif c:\n    p = q\nelse:\n    loss = torch.log(p)\n",
        "torch.log(p)",
        "line 3 may give p another value",
    ),
    "costly": (
        "p = torch.softmax(model(x), 1)\nloss = torch.log(p)\n",
        "torch.log(p)",
        "model(x) (line 1) would be computed twice",
    ),
    "starred": ("loss = torch.log(torch.softmax(*x, 1))\n", "torch.log(torch.softmax(*x, 1))", "operands with *"),
    "double starred": ("loss = torch.log(torch.softmax(**x))\n", "torch.log(torch.softmax(**x))", "operands with **"),
    "not shown": (
        "loss = torch.log(torch.softmax())\n",
        "torch.log(torch.softmax())",
        "does not show its operand input",
    ),
}


@pytest.mark.parametrize(("text", "log", "why"), REFUSED.values(), ids=REFUSED)
def test_refusals_of_operands(text: str, log: str, why: str, stable: Stable) -> None:
    """An operand that may not mean the same in the new place is never put there."""
    begin = text.index("torch.softmax(")
    softmax = (
        text[begin : begin + text[begin:].index(")") + 1] if "model(x)" not in text else "torch.softmax(model(x), 1)"
    )
    assert why in why_not(text, stable(text, log, softmax, imports=()))


KEPT = {
    "other names": "p = torch.softmax(x, 1)\ny = 3\nself.x = y\nz.x.add_(1)\nloss = torch.log(p)\n",
    "after it": "p = torch.softmax(x, 1)\nloss = torch.log(p)\nx = 3\n",
    "on the same line, after it": "p = torch.softmax(x, 1); loss = torch.log(p); x = 3\n",
    "a loop around both": "for i in q:\n    p = torch.softmax(x, 1)\n    loss = torch.log(p)\n    x = x + 1\n",
    "in a block below": "p = torch.softmax(x, 1)\nwith q:\n    if c:\n        loss = torch.log(p)\n        x = 3\n",
    "in a loop below": "p = torch.softmax(x, 1)\nfor i in q:\n    loss = torch.log(p)\n",
    "in a comprehension of its own": "p = torch.softmax(x, 1)\ny = [x for x in z]\nloss = torch.log(p)\n",
    "through another name": "p = torch.softmax(x, 1)\nr = p\nloss = torch.log(p)\n",
    "changed on the way, each time": "p = torch.softmax(x, 1)\np = p.clamp(min=1e-30)\nloss = torch.log(p)\n",
    "taken from it in a loop": "p = torch.softmax(x, 1)\nfor i in q:\n    r = p[i]\n    loss = torch.log(p)\n",
    "in a function of its own": "p = torch.softmax(x, 1)\ndef f():\n    x = 3\nloss = torch.log(p)\n",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_neighbours_of_the_refusals(text: str, stable: Stable) -> None:
    """What cannot change the operand does not stand in the way."""
    edit = stable(text, "torch.log(p)", "torch.softmax(x, 1)", imports=())
    assert after(text, edit) == text.replace("torch.log(p)", "torch.log_softmax(x, dim=1)")


def test_cheap_arithmetic_may_be_repeated(stable: Stable) -> None:
    """It draws no numbers and changes nothing."""
    text = "p = torch.softmax(x.view(-1, 3) / t, 1)\nloss = torch.log(p)\n"
    wanted = "p = torch.softmax(x.view(-1, 3) / t, 1)\nloss = torch.log_softmax(x.view(-1, 3) / t, dim=1)\n"
    assert after(text, stable(text, "torch.log(p)", "torch.softmax(x.view(-1, 3) / t, 1)", imports=())) == wanted


WHERE = """\
y = torch.log(x)
z = 1
out = torch.where(mask > 0, y, z)
"""
IN_LOOP = "for x, mask in q:\n" + textwrap.indent(WHERE, "    ")
LATER = {
    "straight on": (WHERE, True),
    "in a loop": (IN_LOOP, True),
    "the condition is made on the way": (WHERE.replace("z = 1", "mask = x + 1"), False),
    "the condition is made of the value": (WHERE.replace("mask > 0", "y > 0"), False),
    "in a branch": (WHERE.replace("out", "if c: out"), False),
    "out of a loop": (f"for i in q:\n    {WHERE}", False),
    "of the turn before": (f"{IN_LOOP}    x = out\n", False),
    "of the turn before, in an outer loop": (f"while a:\n{textwrap.indent(IN_LOOP, '    ')}    x = out\n", False),
}


@pytest.mark.parametrize(("text", "is_made"), LATER.values(), ids=LATER)
def test_an_operand_of_what_uses_the_result(text: str, spans: Spans, *, is_made: bool) -> None:
    """A condition that stands further down may be asked earlier, where it is known by then."""
    where = "torch.where(y > 0, y, z)" if "y > 0" in text else "torch.where(mask > 0, y, z)"
    edit = Edit(
        span=spans(text, "torch.log(x)"),
        template="torch.log(torch.where({0}, {1}, 1.0))",
        holes=(
            Hole(span=spans(text, where), position=0),
            Hole(span=spans(text, "torch.log(x)"), position=0),
        ),
    )
    done = patched(text, [edit])
    wanted = text.replace("torch.log(x)", "torch.log(torch.where(mask > 0, x, 1.0))")
    assert (done.text == wanted) if isinstance(done, Patched) else not is_made, done
    assert isinstance(done, Patched) == is_made


def test_a_costly_operand_is_not_written_twice(spans: Spans) -> None:
    """Once in its own place is fine; twice in the template is not."""
    text = "loss = norm(model(x))\n"
    hole = Hole(span=spans(text, "norm(model(x))"), position=0)
    edit = Edit(span=hole.span, template="safe({0})", holes=(hole,))
    assert after(text, edit) == "loss = safe(model(x))\n"
    assert "computed twice" in why_not(text, replace(edit, template="safe({0}, {0})"))


def test_edits_that_overlap(stable: Stable, spans: Spans) -> None:
    """One inside of the other, and one in what the other takes its operand from."""
    text = "p = torch.softmax(a / b, 1)\nloss = torch.log(torch.exp(p))\n"
    inner = Edit(span=spans(text, "torch.exp(p)"), template="1")
    outer = Edit(span=spans(text, "torch.log(torch.exp(p))"), template="2")
    operand = Edit(span=spans(text, "a / b"), template="3")
    mended = stable(text, "torch.log(torch.exp(p))", "torch.softmax(a / b, 1)", imports=())
    assert why_not(text, inner, outer) == why_not(text, outer, inner) == "two changes overlap on line 2"
    assert "overlap" in why_not(text, outer, mended)
    assert why_not(text, operand, mended) == "two changes overlap on line 1"
    assert after(text, operand, outer) == "p = torch.softmax(3, 1)\nloss = 2\n"


@pytest.mark.parametrize("template", ["torch.nan_to_num({0})", "torch.nanmean(torch.log({0}))", "{0}.nan_to_num_()"])
def test_what_only_hides_is_refused(template: str, spans: Spans) -> None:
    """Whoever asks for it."""
    text = "loss = torch.log(x)\n"
    hole = Hole(span=spans(text, "torch.log(x)"), position=0)
    assert "would hide" in why_not(text, Edit(span=hole.span, template=template, holes=(hole,)))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("loss = torch.relu(y) + torch.log(x)\n", "on line 1 no call or operation stands where it stood"),
        ("\n", "on line 1 no call or operation stands"),
        ("loss = = 1\n", "cannot be read as Python"),
        ("loss = 1\0\n", "cannot be read as Python"),
    ],
)
def test_a_text_that_is_not_what_was_run(text: str, why: str, spans: Spans) -> None:
    """The file was changed while the program ran."""
    where = spans("loss = torch.log(x)\n", "torch.log(x)")
    assert why in why_not(text, Edit(span=where, template="1"))


def test_assignments_in_place_are_left(spans: Spans) -> None:
    """They change what they work on."""
    text = "x /= y\n"
    assert "assigns in place" in why_not(text, Edit(span=spans(text, "x /= y"), template="1"))


@pytest.mark.parametrize("call", ["x.log_()", "torch.log(x, out=y)", "f(x, inplace=True)"])
def test_calls_that_write_in_place_are_left(call: str, spans: Spans) -> None:
    """The value of such a call is not all that it leaves behind."""
    text = f"y = {call}\n"
    assert "writes in place" in why_not(text, Edit(span=spans(text, call), template="1"))


def test_an_index_is_taken_over(spans: Spans) -> None:
    """It may be a slice, which stands nowhere but in brackets."""
    text = "p = torch.softmax(x, 1)\nloss = torch.log(p[:, 1:y + 2].t())\n"
    holes = (
        Hole(span=spans(text, "torch.softmax(x, 1)"), position=0, keyword="input"),
        Hole(span=spans(text, "p[:, 1:y + 2]"), position=1),
    )
    edit = Edit(span=spans(text, "torch.log(p[:, 1:y + 2].t())"), template="f({0})[{1}].t()", holes=holes)
    assert after(text, edit) == "p = torch.softmax(x, 1)\nloss = f(x)[:, 1:y + 2].t()\n"
    taken = Edit(span=holes[1].span, template="{0}[{1}] * 2", holes=(replace(holes[1], position=0), holes[1]))
    assert after(text, taken) == "p = torch.softmax(x, 1)\nloss = torch.log((p[:, 1:y + 2] * 2).t())\n"


def test_a_method_that_is_none(spans: Spans) -> None:
    """The text calls a function where a method ran."""
    text = "loss = log(x)\n"
    hole = Hole(span=spans(text, "log(x)"), position=0, is_method=True)
    assert "is no method" in why_not(text, Edit(span=hole.span, template="{0}", holes=(hole,)))


def test_a_template_that_is_no_expression(spans: Spans) -> None:
    """A mistake of the experiment does not become one of the user's file."""
    text = "loss = log(x)\n"
    assert "is no expression" in why_not(text, Edit(span=spans(text, "log(x)"), template="1 +"))


NAMES = st.sampled_from(["x", "größe", "self.p", "y_1"])
EXPRESSIONS = st.recursive(
    NAMES | st.sampled_from(["1", '"é #"', "-x", "(a, b)", "x if y else z", "lambda: x", "not x"]),
    lambda inner: st.one_of(
        st.builds("f({},  {})".format, inner, inner),
        st.builds("({}).g({}, k={})".format, inner, inner, inner),
        st.builds("({})  *  ({})".format, inner, inner),
        st.builds("({}\n   + {}  # why\n)".format, inner, st.just("x")),
        st.builds("f({},  # é\n  {})".format, inner, inner),
    ),
    max_leaves=6,
)
TEMPLATES = st.sampled_from(["g({0}, k={1})", "{0} - {1}", "{1} ** {0}", "-{0}", "{0}.real", "[{0}, {1}]", "x"])
STATEMENTS = st.sampled_from(
    [
        "a = {}",
        "if {}: pass",
        "b = [{},  1]  # c",
        'c = f"ß"; d =  {}',
        "return_ = 2 ** ({})",
        "e = {} . k",
        "f ({} , 3)",
    ]
)
PLAIN = st.sampled_from(["# ü", "", "t = '''\n  é'''", "\tif_ = 1".strip(), "class A:\n    x = 1  \n"])


@dataclass(frozen=True, slots=True)
class Place:
    """A call of two operands, and the text before and after it."""

    head: str
    left: str
    right: str
    tail: str

    @property
    def call(self) -> str:
        """The call itself."""
        return f"target({self.left}, {self.right})"


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Any operands, in any statement, among any others."""
    before, behind = draw(st.lists(PLAIN, max_size=3)), draw(st.lists(PLAIN, max_size=3))
    begin, _, end = draw(STATEMENTS).partition("{}")
    last = draw(st.sampled_from(["", "\n"]))
    return Place(
        head="".join(f"{line}\n" for line in before) + begin,
        left=draw(EXPRESSIONS),
        right=draw(EXPRESSIONS),
        tail=end + "".join(f"\n{line}" for line in behind) + last,
    )


@given(place=places(), template=TEMPLATES, end=st.sampled_from(["\n", "\r\n"]))
def test_everything_else_stays(place: Place, template: str, end: str) -> None:
    """For any expression anywhere: the text is Python, means what was asked for, and is the same around it."""
    where = _span(place.head, place.call)
    holes = tuple(Hole(span=where, position=i) for i in range(2))
    text = (place.head + place.call + place.tail).replace("\n", end)
    done = patched(text, [Edit(span=where, template=template, holes=holes)])
    assert isinstance(done, Patched), done
    lines_before, _, line = place.head.replace("\n", end).rpartition(end)
    assert done.text.startswith(lines_before)
    assert line in done.text[len(lines_before) :]  # comments of the call stand above it
    assert done.text.endswith(place.tail.replace("\n", end))
    wanted = template.format(f"({place.left})", f"({place.right})")
    assert ast.dump(ast.parse(done.text)) == ast.dump(ast.parse(f"{place.head}({wanted}\n){place.tail}"))


def _span(head: str, call: str) -> Span:
    lines, ends = head.split("\n"), (head + call).split("\n")
    return Span(
        file="f",
        scope="<module>",
        line=len(lines),
        column=len(lines[-1].encode()),
        end_line=len(ends),
        end_column=len(ends[-1].encode()),
    )


def test_indentation_and_trailing_space_stay(stable: Stable) -> None:
    """Tabs, spaces at the end of lines, empty lines with spaces in them."""
    text = textwrap.dedent(
        """\
        class  A :
        \tdef f( self,x ) :   \t
        \t\treturn torch.log( torch.softmax(x,1) )   # é\t
        \t
        """
    )
    edit = stable(text, "torch.log( torch.softmax(x,1) )", "torch.softmax(x,1)", imports=())
    assert after(text, edit) == text.replace("torch.log( torch.softmax(x,1) )", "torch.log_softmax(x, dim=1)")
