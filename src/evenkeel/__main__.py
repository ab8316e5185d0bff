"""`python -m evenkeel` is the command `evenkeel`."""

from __future__ import annotations

from evenkeel.cli.main import main

main()
