"""The habits of the house that no linter checks: size, first sentences, and nothing that hides a number."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "evenkeel"
RECIPES = ROOT / "src" / "evenkeel_recipes"
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
# what no single room can answer for
BESIDE_THE_ROOMS = {"house", "end_to_end", "examples", "bench", "ranks", "grid", "peers", "recipes"}
BROAD = {"Exception", "BaseException"}

Habit = Callable[[str], Iterator[str]]


def first_sentence(source: str) -> Iterator[str]:
    """A module says in its first line what it is."""
    doc = ast.get_docstring(ast.parse(source), clean=False)
    if doc is None or not doc.splitlines()[0].strip():
        yield "1: the module has no docstring, or an empty first line"


def module_size(source: str) -> Iterator[str]:
    """A module can be read in one sitting."""
    num_lines = len(source.splitlines())
    if num_lines > MAX_MODULE_LINES:
        yield f"{num_lines}: {num_lines} lines, {MAX_MODULE_LINES} allowed; split it by idea"


def function_size(source: str) -> Iterator[str]:
    """A function fits in the head; its docstring does not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False)
            num_lines = (node.end_lineno or node.lineno) - node.lineno + 1
            num_lines -= 0 if doc is None else doc.count("\n") + 1
            if num_lines > MAX_FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {num_lines} lines, {MAX_FUNCTION_LINES} allowed"


def no_nan_to_num(source: str) -> Iterator[str]:
    """Nothing replaces a NaN. Naming the operation in a string, to recognise it, is allowed."""
    for node in ast.walk(ast.parse(source)):
        named = getattr(node, "attr", None) or getattr(node, "id", None)
        imported = [alias.name for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)]
        if "nan_to_num" in str(named) or "nan_to_num" in imported:
            yield f"{getattr(node, 'lineno', 0)}: nan_to_num hides a number"


def no_broad_except(source: str) -> Iterator[str]:
    """No handler swallows what it does not know; a broad one may only raise again at its end."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises_again(node):
            yield f"{node.lineno}: a broad except swallows errors; name the errors that you can answer"
        if _is_suppress(node) and any(map(_is_broad, node.args)):
            yield f"{node.lineno}: suppress() of every exception; name the errors that you can answer"


def no_global(source: str) -> Iterator[str]:
    """No function changes a name of its module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Global):
            yield f"{node.lineno}: global {', '.join(node.names)}; hand the value over instead"


def _is_suppress(node: ast.AST) -> TypeGuard[ast.Call]:
    """Whether a node is a call of contextlib.suppress."""
    return isinstance(node, ast.Call) and _last_name(node.func) == "suppress"


def _last_name(node: ast.expr) -> str:
    """`suppress` for both `suppress` and `contextlib.suppress`; empty for what is no name."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_broad(caught: ast.expr | None) -> bool:
    """Whether an except clause catches nearly everything."""
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(map(_is_broad, caught.elts))
    return _last_name(caught) in BROAD


def _raises_again(handler: ast.ExceptHandler) -> bool:
    """Whether a handler ends by passing on what it caught."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


HABITS: tuple[Habit, ...] = (
    first_sentence,
    module_size,
    function_size,
    no_nan_to_num,
    no_broad_except,
    no_global,
)

OFFENDERS: dict[Habit, list[str]] = {
    first_sentence: ["", "import math\n", '"""\nToo late."""\n'],
    module_size: ["x = 1\n" * (MAX_MODULE_LINES + 1)],
    function_size: ["def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES],
    no_nan_to_num: [
        "y = torch.nan_to_num(x)",
        "x.nan_to_num_()",
        "from torch import nan_to_num",
        "y = nan_to_num(x)",
    ],
    no_broad_except: [
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept Exception:\n    log()",
        "try:\n    f()\nexcept (OSError, builtins.BaseException) as e:\n    raise Other() from e",
        "with contextlib.suppress(Exception):\n    f()",
    ],
    no_global: ["def f():\n    global x\n    x = 1"],
}

NEIGHBOURS: dict[Habit, list[str]] = {
    first_sentence: ['"""What it is."""\nimport math\n'],
    module_size: ["x = 1\n" * MAX_MODULE_LINES],
    function_size: [
        "def f():\n" + "    x = 1\n" * (MAX_FUNCTION_LINES - 1),
        'def f():\n    """' + "A long story.\n" * 99 + '"""\n    return 1',
    ],
    no_nan_to_num: ['OPERATIONS = ("aten.nan_to_num.default",)', "from torch import nan"],
    no_broad_except: [
        "try:\n    f()\nexcept OSError:\n    answer()",
        "try:\n    f()\nexcept BaseException:\n    put_back()\n    raise",
        "with contextlib.suppress(FileNotFoundError):\n    f()",
    ],
    no_global: ["def f():\n    x = 1\n    def g():\n        nonlocal x\n        x = 2"],
}


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
def test_package_keeps_habit(habit: Habit) -> None:
    """Every module of the package and of the recipes keeps every habit."""
    modules = sorted([*PACKAGE.rglob("*.py"), *RECIPES.rglob("*.py")])
    assert len(modules) > 300
    found = [f"{path.relative_to(ROOT)}:{told}" for path in modules for told in habit(path.read_text(encoding="utf8"))]
    assert found == []


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
def test_habit_tells_offender_from_neighbour(habit: Habit) -> None:
    """Each check speaks up at what it is for, and stays silent beside it."""
    assert all(list(habit(source)) for source in OFFENDERS[habit])
    assert not [told for source in NEIGHBOURS[habit] for told in habit(source)]


def strangers(folders: set[str], rooms: set[str]) -> list[str]:
    """Folders of tests that are named after nothing a reader could look up."""
    return sorted(folders - rooms - BESIDE_THE_ROOMS - {"__pycache__"})


def test_folders_of_tests_carry_the_names_of_the_rooms() -> None:
    """Whoever knows where the code is knows where its tests are."""
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert len(rooms) > 5
    assert "house" in folders
    assert strangers(folders, rooms) == []


def test_recipes_have_tests_of_their_names() -> None:
    """The same, one storey down."""
    recipes = {path.parent.name for path in RECIPES.glob("*/__init__.py")}
    folders = {path.name for path in (ROOT / "tests" / "recipes").iterdir() if path.is_dir()} - {"__pycache__"}
    assert len(recipes) > 2
    assert folders == recipes


def test_stranger_among_the_folders_is_named() -> None:
    """The twin: a folder that mirrors no room is told apart from one that does."""
    assert strangers({"house", "core", "misc"}, {"core", "step"}) == ["misc"]
