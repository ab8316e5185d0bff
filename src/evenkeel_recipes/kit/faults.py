"""Historical failures that a run can be asked to have."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import click

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Fault(Generic[P]):
    """One failure that somebody's training had.

    Attributes:
        name: what `--fault` calls it.
        happened: what was seen.
        cause: why.
        says: what ought to be said about it, and by whom: phase, line and family where a number becomes bad; the
            check, audit or sentinel where it stays finite.
        loud: whether a number becomes bad, so that `evenkeel run` stops at it.
        plant: the parts of the recipe with this failure in them.
    """

    name: str
    happened: str
    cause: str
    says: str
    loud: bool
    plant: Callable[[P], P]


def planted(parts: P, names: Sequence[str], table: Sequence[Fault[P]]) -> P:
    """`parts` with the named failures in them, one after the other.

    Raises:
        click.UsageError: there is none of that name.
    """
    for fault in named(names, table):
        parts = fault.plant(parts)
    return parts


def named(names: Sequence[str], table: Sequence[Fault[P]]) -> list[Fault[P]]:
    """The failures of these names, in their order.

    Raises:
        click.UsageError: there is none of that name.
    """
    by_name = {fault.name: fault for fault in table}
    for name in names:
        if name not in by_name:
            near = difflib.get_close_matches(name, by_name, n=3)
            hint = f"near it: {', '.join(near)}; " if near else ""
            raise click.UsageError(f"there is no fault {name!r}; {hint}there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def banner(names: Sequence[str], table: Sequence[Fault[P]]) -> Iterator[str]:
    """What stands at the top of a run with faults; nothing without."""
    for fault in table:
        if fault.name in names:
            yield f"FAULT PLANTED: {fault.name}: {fault.happened}"


def described(table: Sequence[Fault[P]]) -> Iterator[str]:
    """The table for a terminal."""
    for fault in table:
        yield f"{fault.name}\n    happened: {fault.happened}\n    cause:    {fault.cause}\n    says:     {fault.says}"
