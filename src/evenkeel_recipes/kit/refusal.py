"""The exit statuses of a recipe, and the error behind one of them."""

from __future__ import annotations

DONE, USAGE, STOPPED, REFUSED, NO_SKILL = 0, 2, 3, 4, 5


class Refused(ValueError):
    """Data, a manifest or a checkpoint cannot be used: exit status 4.

    The message says what was found, where, with which values, and what to do about it.
    """
