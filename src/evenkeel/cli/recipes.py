"""`evenkeel recipes`: complete reference training systems, found through an entry point group.

A package that brings one declares, in the group `evenkeel.recipes`, its name and an object with
`call(arguments) -> int`; the package around that object is what `copy` copies, and its first line what `list` shows.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import shutil
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated

import typer

from evenkeel.core.errors import UsageError
from evenkeel.core.settings import RecipeCall

GROUP = "evenkeel.recipes"
PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def recipes() -> None:
    """Complete reference training systems: on the data they bring, or on yours.

    `evenkeel recipes do NAME COMMAND …` reaches whatever other commands a recipe has.
    """


@app.command("list")
def list_recipes() -> None:
    """The recipes that are installed."""
    found = installed()
    for name, entry in found.items():
        typer.echo(f"{name:<20}  {_summary(entry)}")
    if not found:
        typer.echo("no recipe is installed")


@app.command("run", context_settings=PASSED_ON)
def run(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Train and evaluate a recipe; `evenkeel recipes run NAME --help` lists its options."""
    _ask(context, name, "run")


@app.command("predict", context_settings=PASSED_ON)
def predict(context: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Apply what a run has trained; `evenkeel recipes predict NAME --help` lists its options."""
    _ask(context, name, "predict")


@app.command("do", context_settings=PASSED_ON)
def do(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    command: Annotated[str, typer.Argument(metavar="COMMAND")] = "--help",
) -> None:
    """Any other command of a recipe; without COMMAND, they are listed."""
    _ask(context, name, command)


@app.command("copy")
def copy(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    directory: Annotated[Path | None, typer.Argument(metavar="DIR", help="A new directory; default: ./NAME.")] = None,
) -> None:
    """Copy the source of a recipe, to make it your own; it runs as `python -m DIR run`."""
    entry = find(name)
    source = _folder(entry)
    goal = directory or Path(source.name)
    if goal.exists():
        raise UsageError(f"{goal} exists; name a new directory")
    if not goal.name.isidentifier():
        raise UsageError(f"{goal.name!r} cannot be imported: letters, digits and underscores, no digit first")
    shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__"))
    for path in goal.rglob("*.py"):  # what imports itself by its old name would not be the copy
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(_package(entry), goal.name), encoding="utf-8")
    typer.echo(f"{goal}: run it with `python -m {goal.name} run`, from {goal.absolute().parent}")


def installed() -> Mapping[str, EntryPoint]:
    """The recipes by name; none of them is imported."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def find(name: str) -> EntryPoint:
    """The recipe of that name.

    Raises:
        UsageError: there is none; the error names those that are there.
    """
    found = installed()
    if name in found:
        return found[name]
    near = difflib.get_close_matches(name, found, n=2)
    hint = f"near it: {', '.join(near)}; " if near else ""
    raise UsageError(f"there is no recipe {name!r}; {hint}installed are {', '.join(found) or 'none'}")


def carry_out(call: RecipeCall) -> int:
    """Import the recipe, which may bring torch, and do what it was asked for.

    Returns: its exit status.

    Raises:
        UsageError: there is no such recipe, or what it is built on is not installed.
    """
    entry = find(call.name)
    try:
        commands = entry.load()
    except ModuleNotFoundError as error:
        raise UsageError(f"recipe {call.name} needs {error.name}: pip install 'evenkeel[recipes]'") from error
    status: int = commands.call((call.command, *call.arguments))
    return status


def _ask(context: typer.Context, name: str, command: str) -> None:
    find(name)
    context.obj.append(RecipeCall(name, command, tuple(context.args)))


def _package(entry: EntryPoint) -> str:
    return entry.module.rpartition(".")[0]


def _folder(entry: EntryPoint) -> Path:
    package = importlib.util.find_spec(_package(entry))
    if package is None or not package.submodule_search_locations:
        raise UsageError(f"recipe {entry.name} is declared in {entry.module}, which is not in a package")
    return Path(package.submodule_search_locations[0])


def _summary(entry: EntryPoint) -> str:
    package = importlib.import_module(_package(entry))
    return (inspect.getdoc(package) or "").partition("\n")[0]
