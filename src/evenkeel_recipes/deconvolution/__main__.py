"""`python -m evenkeel_recipes.deconvolution run …`, so that `evenkeel run -m` can supervise it."""

from __future__ import annotations

import sys

from evenkeel_recipes.deconvolution.command import commands

if __name__ == "__main__":
    sys.exit(commands.call(sys.argv[1:]))
