"""`menu`: the commands by number, for who does not want to remember them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click

from evenkeel_recipes.deconvolution.config import MenuConfig
from evenkeel_recipes.kit.refusal import DONE, Refused


class Choice(NamedTuple):
    """What is printed, and the command line behind it, with a question where something has to be filled in."""

    words: str
    arguments: tuple[str, ...]
    question: str = ""


CHOICES = (
    Choice("check the samples of a run", ("validate",)),
    Choice("quick test on the simulator", ("run", "--quick-test")),
    Choice("train on the simulator", ("run", "--yes")),
    Choice("train on your reference", ("run", "--yes", "--reference"), "reference (.h5ad)"),
    Choice("go on where the last run stopped", ("run", "--yes", "--resume")),
    Choice("monitor the run", ("monitor",)),
    Choice("test the best checkpoint", ("test", "--auto")),
    Choice("estimate bulk samples", ("predict", "--bulk"), "bulk samples (.csv, .tsv, .h5ad, .npy)"),
    Choice("the doctor's checklist", ("doctor",)),
)


def menu(call: Callable[[Sequence[str]], int], _: MenuConfig) -> int:
    """Ask for a number, carry out the command behind it, and end with its status; 0 does nothing.

    Raises:
        Refused: nobody is there to answer.
    """
    if not sys.stdin.isatty():
        raise Refused("a menu needs somebody to answer; give a command instead (`--help` lists them)")
    for number, choice in enumerate(CHOICES, 1):
        click.echo(f"{number}  {choice.words}: {' '.join(choice.arguments)}")
    click.echo("0  nothing")
    number = click.prompt("number", type=click.IntRange(0, len(CHOICES)))
    if number == 0:
        return DONE
    chosen = CHOICES[number - 1]
    filled = (click.prompt(chosen.question),) if chosen.question else ()
    return call([*chosen.arguments, *filled])
