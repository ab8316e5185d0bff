"""`evenkeel run`: supervise an unmodified training script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evenkeel.cli.resolve import Asked, resolve
from evenkeel.core.settings import CapsuleWish, PolicyName

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("run", context_settings={"allow_interspersed_args": False})
def run(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The script, or with -m the module.")],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS", help="Everything after TARGET goes to the program."),
    ] = None,
    *,
    as_module: Annotated[bool, typer.Option("-m", help="TARGET is a module, as in python -m.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="New or empty directory for journal and reports. [default: evenkeel-runs/NAME-TIME]"),
    ] = None,
    policy: Annotated[
        PolicyName,
        typer.Option(help="At a bad step: stop before its update, skip it and go on, or only report the first."),
    ] = "stop",
    max_skips: Annotated[int, typer.Option(help="Steps that `--policy skip` may leave out before it stops.")] = 3,
    check_parameters_every: Annotated[
        int, typer.Option(help="Read the parameters after each so many updates; 1 sees a faulty update at once.")
    ] = 10,
    max_rerun_minutes: Annotated[
        float, typer.Option(help="Longest re-run from the start of the script to repeat a bad step; 0: none.")
    ] = 30.0,
    no_experiments: Annotated[
        bool, typer.Option("--no-experiments", help="Explain a bad step, but do not repeat it with things changed.")
    ] = False,
    fix_preview: Annotated[
        bool, typer.Option("--fix-preview", help="Write the patch that has proved itself as fix.patch; apply nothing.")
    ] = False,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Leave the batches of the bad step out of its capsule.")
    ] = False,
    as_zip: Annotated[bool, typer.Option("--zip", help="Write the capsule as one file, capsule.zip.")] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=PATH]",
            help="Write incidents to tensorboard, wandb or mlflow too; may be repeated. [default PATH: DIR/NAME]",
        ),
    ] = None,
) -> None:
    """Supervise an unmodified training script.

    Exit status: the program's own; 3 when it was stopped on an incident; 2 for a usage error.
    """
    asked = Asked(
        target=target,
        as_module=as_module,
        arguments=tuple(arguments or ()),
        out=out,
        policy=policy,
        max_skips=max_skips,
        check_parameters_every=check_parameters_every,
        max_rerun_minutes=max_rerun_minutes,
        experiments=not no_experiments,
        fix_preview=fix_preview,
        capsule=CapsuleWish(keep_data=not no_data, as_zip=as_zip),
        logs=tuple(log or ()),
    )
    context.obj.append(resolve(asked))
