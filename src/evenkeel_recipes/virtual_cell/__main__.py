"""`python -m evenkeel_recipes.virtual_cell run …`, and of a copy of this folder."""

from __future__ import annotations

import sys

from evenkeel_recipes.virtual_cell.command import commands

if __name__ == "__main__":
    sys.exit(commands.call(sys.argv[1:]))
