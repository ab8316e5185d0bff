"""The entry point `evenkeel`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

import evenkeel
from evenkeel.core.errors import USAGE_STATUS, UsageError
from evenkeel.core.settings import RecipeCall, ReplaySettings, RunSettings

RECIPES = "evenkeel.cli.recipes"
COMMANDS = {
    "run": "evenkeel.cli.run",
    "replay": "evenkeel.cli.replay",
    "explain": "evenkeel.cli.explain",
    "recipes": RECIPES,
}
SUPERVISE = "evenkeel.supervision.run"  # these import torch: loaded when the command line has been understood
LOGGERS = "evenkeel.integrations.opened"
REPLAY = "evenkeel.investigate.replay"

Request = RunSettings | ReplaySettings | RecipeCall


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are asked for; each module holds one `app`."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002  the signature is click's
        """The names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | TyperGroup | None:  # noqa: ARG002  the same
        """The command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command = typer.main.get_command(importlib.import_module(COMMANDS[cmd_name]).app)
        return command if isinstance(command, TyperCommand | TyperGroup) else None


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"evenkeel {evenkeel.__version__}")
        raise typer.Exit


@app.callback()
def evenkeel_command(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None:
    """Numerical health for PyTorch training: find the first bad number and prove why it is bad."""


def parse(arguments: Sequence[str]) -> Request | int:
    """Carry out a command line, all but the program that it is about.

    Returns: what to supervise or to replay, or the exit status when there is nothing more to do.
    """
    asked: list[Request] = []
    command: Any = typer.main.get_command(app)
    try:
        command.main(args=list(arguments), prog_name="evenkeel", obj=asked)
    except SystemExit as end:  # typer ends every command line so, well or ill
        status = end.code if isinstance(end.code, int) else 0
    except UsageError as error:
        sys.stderr.write(f"evenkeel: {error}\n")
        status = USAGE_STATUS
    return asked[0] if asked else status


def main() -> NoReturn:
    """Run the command line of this process and exit with its status.

    The supervised program runs after typer is done, so that its exceptions and exits are its own.
    """
    request = parse(sys.argv[1:])
    if isinstance(request, RunSettings):
        loggers = importlib.import_module(LOGGERS).loggers_of(request.logs)
        request = importlib.import_module(SUPERVISE).supervise(request, loggers)
    elif isinstance(request, ReplaySettings):
        request = importlib.import_module(REPLAY).replay(request)
    elif isinstance(request, RecipeCall):
        request = _carry_out(request)
    sys.exit(request)


def _carry_out(call: RecipeCall) -> int:
    try:
        status: int = importlib.import_module(RECIPES).carry_out(call)
    except UsageError as error:
        sys.stderr.write(f"evenkeel: {error}\n")
        return USAGE_STATUS
    return status
