"""What a statement adds up, read from the source of a file."""

from pathlib import Path

import pytest

from evenkeel.core.place import Place
from evenkeel.locate.statements import assigned_name, operand_texts, statement_at

SOURCE = """\
loss = fit + beta * kl - 1.0
total += a + (b - c)
both = [fit, kl]
if True: inner = one + \\
    two(x + y)
def f(x):
    return x + 1
spread: float = std(x)
a = b = c + d
p, q = r + s, t
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """The first line of the source."""
    path = tmp_path / "losses.py"
    path.write_text(SOURCE)
    return Place(file=str(path), line=1, scope="<module>", source="")


def at(place: Place, line: int, scope: str = "<module>") -> Place:
    """Another line of it."""
    return Place(file=place.file, line=line, scope=scope, source="")


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        (1, [("fit", "beta * kl")]),
        (2, [("total", "a", "b", "c"), ("a", "b", "c")]),
        (3, [("fit", "kl")]),
        (4, [("one", "two(x + y)"), ("x", "y")]),
        (5, [("one", "two(x + y)"), ("x", "y")]),
        (7, [("x",)]),
    ],
)
def test_operands_of_each_sum(place: Place, line: int, texts: list[tuple[str, ...]]) -> None:
    """Maximal sums, without numbers; a line inside a statement finds the statement."""
    statement = statement_at(at(place, line))
    assert statement is not None
    assert list(operand_texts(statement)) == texts


@pytest.mark.parametrize(
    ("line", "scope", "name"),
    [(1, "<module>", "loss"), (7, "f", "f()"), (8, "<module>", "spread"), (9, "<module>", ""), (10, "<module>", "")],
)
def test_name_that_a_statement_gives(place: Place, line: int, scope: str, name: str) -> None:
    """One variable, or the function whose result it is."""
    statement = statement_at(at(place, line, scope))
    assert statement is not None
    assert assigned_name(statement, at(place, line, scope)) == name


def test_what_cannot_be_read(tmp_path: Path, place: Place) -> None:
    """No file, no Python, no such line."""
    broken = tmp_path / "cell.py"
    broken.write_text("%matplotlib inline\nloss = a + b\n")
    assert statement_at(Place(file=str(broken), line=2, scope="", source="")) is None
    assert statement_at(Place(file="<stdin>", line=1, scope="", source="")) is None
    assert statement_at(at(place, 999)) is None
