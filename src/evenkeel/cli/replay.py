"""`evenkeel replay`: run a captured failing step again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenkeel.core.settings import BeginName, ReplaySettings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("replay")
def replay(
    context: typer.Context,
    capsule: Annotated[Path, typer.Argument(metavar="CAPSULE", help="The directory or zip file of a capsule.")],
    *,
    change: Annotated[
        str | None, typer.Option("--with", metavar="NAME", help="Change one thing; --list names what there is.")
    ] = None,
    only_list: Annotated[
        bool, typer.Option("--list", help="Say what the capsule holds and what can be changed; run nothing.")
    ] = False,
    begin: Annotated[
        BeginName | None,
        typer.Option(
            "--from",
            help="state: put the captured state into the program's first steps, in seconds. "
            "start: run the program from its start up to the step. [default: as the capsule says]",
        ),
    ] = None,
    program: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="The script or module, where it is not what the capsule says."),
    ] = None,
) -> None:
    """Run a captured failing step again, here or on another machine.

    The program that the capsule names is started, with its arguments, in its directory where there is one here. It
    finds EVENKEEL_RERUN=1 in its environment, so that it can keep from writing its files twice.

    Exit status: 3 when the step failed again; 0 when it did not; 2 when the capsule was refused or its step did not
    come.
    """
    context.obj.append(
        ReplaySettings(capsule=capsule.absolute(), change=change, only_list=only_list, begin=begin, program=program)
    )
