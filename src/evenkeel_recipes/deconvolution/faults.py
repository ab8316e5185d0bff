"""Historical failures."""

from __future__ import annotations

from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.kit.faults import Fault

FAULTS: tuple[Fault[Science], ...] = ()
