"""`evenkeel explain`: the manual page of a cause."""

from __future__ import annotations

import difflib
import inspect
from typing import Annotated

import typer

from evenkeel.core.errors import UsageError
from evenkeel.diagnose.catalogue import catalogue
from evenkeel.diagnose.rule import CauseRule

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("explain")
def explain(
    code_or_name: Annotated[
        str | None,
        typer.Argument(metavar="CODE_OR_NAME", help="EK201 or log_of_nonpositive; without it, all are listed."),
    ] = None,
) -> None:
    """Print the manual page of a cause."""
    rules = catalogue()
    if code_or_name is None:
        typer.echo("\n".join(_line(rule) for rule in rules))
        return
    rule = find(code_or_name, rules)
    typer.echo(f"{rule.code} {rule.name} ({rule.family})\n\n{inspect.cleandoc(rule.page)}")


def find(code_or_name: str, rules: tuple[CauseRule, ...]) -> CauseRule:
    """The rule of that code or name, whatever its case; "-" counts as "_".

    Raises:
        UsageError: there is none; the error names those that look alike.
    """
    wanted = code_or_name.casefold().replace("-", "_")
    keys = {key.casefold(): rule for rule in rules for key in (rule.code, rule.name)}
    if wanted in keys:
        return keys[wanted]
    near = dict.fromkeys(keys[key] for key in difflib.get_close_matches(wanted, keys, n=3))
    hint = f"near it: {', '.join(f'{rule.code} {rule.name}' for rule in near)}; " if near else ""
    raise UsageError(f"there is no cause {code_or_name!r}; {hint}evenkeel explain lists all {len(rules)}")


def _line(rule: CauseRule) -> str:
    summary = inspect.cleandoc(rule.page).partition("\n")[0]
    return f"{rule.code}  {rule.name:<30}  {rule.family:<20}  {summary}"
