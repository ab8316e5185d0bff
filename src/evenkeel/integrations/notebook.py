"""Evenkeel in a notebook: `%load_ext evenkeel`, then `%%evenkeel` at the head of the cell that trains.

Options of the magic: `--policy stop|skip|observe`, `--out DIR`, `--no-experiments`, `--no-capsules`. The report is
shown below the cell; its lines are counted from the one below the magic, as the kernel's own tracebacks count them.
Needs the extra `notebook`, which every notebook has.
"""

from __future__ import annotations

import argparse
import ast
import shlex
from typing import NoReturn

from evenkeel.core.errors import TrainingStopped, UsageError
from evenkeel.core.incident import Incident
from evenkeel.guard.guard import LOG, Guard, GuardSettings, supervise
from evenkeel.report.as_html import render

try:
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import HTML, display
except ModuleNotFoundError as error:
    message = "%%evenkeel needs IPython: pip install 'evenkeel[notebook]'"
    raise ModuleNotFoundError(message, name="IPython") from error


def load_ipython_extension(shell: InteractiveShell) -> None:
    """What `%load_ext evenkeel` calls."""

    def evenkeel(line: str, cell: str) -> None:
        """Run the cell with every training loop in it guarded."""
        run_cell(shell, line, cell)

    shell.magics_manager.register_function(evenkeel, magic_kind="cell")


def run_cell(shell: InteractiveShell, line: str, cell: str) -> None:
    """Run a cell under `supervise`, and show the report of what was found.

    An exception of the cell's own is shown as always; a stop by evenkeel is no error of the cell.

    Raises:
        UsageError: an option of the magic is none.
    """
    given = _parser().parse_args(shlex.split(line))
    settings: GuardSettings = {
        "policy": given.policy,
        "out": given.out,
        "experiments": not given.no_experiments,
        "capsules": not given.no_capsules,
    }
    seen: list[Guard] = []
    try:
        with supervise(**settings) as guard:
            seen.append(guard)
            _execute(shell, cell)
    except TrainingStopped as stopped:
        LOG.info("%s", stopped)
    finally:
        for guard in seen:
            if guard.incident is not None:
                show(guard.incident)


def _execute(shell: InteractiveShell, cell: str) -> None:
    """Run the lines in the notebook's own namespace, and show the value of the last one, as a cell does."""
    source = shell.transform_cell(cell)
    name = shell.compile.cache(source, shell.execution_count)  # its lines are found under this name
    parsed = ast.parse(source, name)
    shown = parsed.body[-1:] if parsed.body and isinstance(parsed.body[-1], ast.Expr) else []
    silent = ast.Module(parsed.body[: len(parsed.body) - len(shown)], type_ignores=[])
    exec(compile(silent, name, "exec"), shell.user_ns)  # noqa: S102  running the user's cell is the purpose
    if shown:
        exec(compile(ast.Interactive(list(shown)), name, "single"), shell.user_ns)  # noqa: S102  the same


def show(incident: Incident) -> None:
    """The report below the cell, in a frame of its own, so that neither changes the look of the other."""
    page = render(incident).replace("&", "&amp;").replace('"', "&quot;")
    display(HTML(f'<div><iframe srcdoc="{page}" style="width: 100%; height: 40em; border: 0"></iframe></div>'))


class _Parser(argparse.ArgumentParser):
    """Of the words behind `%%evenkeel`: an error is an exception, not the end of the process."""

    def error(self, message: str) -> NoReturn:
        """Say what was allowed."""
        raise UsageError(f"%%evenkeel: {message}; {self.format_usage().strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="%%evenkeel", add_help=False)
    parser.add_argument("--policy", choices=("stop", "skip", "observe"), default="stop")
    parser.add_argument("--out")
    parser.add_argument("--no-experiments", action="store_true")
    parser.add_argument("--no-capsules", action="store_true")
    return parser
