"""The commands of a recipe, and what becomes of its errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

import evenkeel
from evenkeel_recipes.kit.options import command
from evenkeel_recipes.kit.refusal import REFUSED, STOPPED, USAGE, Refused

C = TypeVar("C")


class Commands(click.Group):
    """The commands of one recipe; `call` carries one out and returns its exit status."""

    def offer(self, name: str, config: type[C], carry_out: Callable[[C], int]) -> None:
        """Add a command; its options are the fields of `config`."""
        self.add_command(command(name, config, carry_out))

    def call(self, arguments: Sequence[str]) -> int:
        """Carry out a command line.

        Returns: 0 done; 2 usage; 3 stopped on a bad number; 4 data, manifest or checkpoint refused; 5 finite, but no
        better than the best trivial baseline.
        """
        try:
            status = self.main(list(arguments), prog_name=f"evenkeel recipes … {self.name}", standalone_mode=False)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except click.Abort:
            sys.stderr.write("nothing was done: the question was not answered with yes\n")
            return USAGE
        except Refused as error:
            sys.stderr.write(f"refused: {error}\n")
            return REFUSED
        except evenkeel.TrainingStopped as error:
            sys.stderr.write(f"{error}\n")
            return STOPPED
        return status if isinstance(status, int) else 0
