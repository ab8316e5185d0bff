"""The failures that can be planted."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from evenkeel_recipes.kit.faults import described
from evenkeel_recipes.kit.refusal import DONE
from evenkeel_recipes.virtual_cell.faults import FAULTS


@dataclass(frozen=True)
class NoConfig:
    """The failures that can be planted with `--fault`: what happened, why, and what ought to be said."""


def list_faults(_config: NoConfig) -> int:
    """List the failures that can be planted."""
    sys.stdout.write("\n".join(described(FAULTS)) + "\n")
    return DONE
