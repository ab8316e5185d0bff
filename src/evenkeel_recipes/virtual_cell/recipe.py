"""The parts that a run was asked to be made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evenkeel_recipes.kit.faults import planted
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.healthy import HEALTHY, log1p_cp10k
from evenkeel_recipes.virtual_cell.model.adapter import whole_difference
from evenkeel_recipes.virtual_cell.model.parts import Parts


def parts_of(encoder_input: str, adapter: str, faults: Sequence[str]) -> Parts:
    """The right ones, with the encoder's input and the adapter as chosen, and with the failures that were asked for.

    Raises:
        click.UsageError: there is no failure of that name.
    """
    chosen = replace(HEALTHY, encoder_input=log1p_cp10k) if encoder_input == "log1p_cp10k" else HEALTHY
    chosen = replace(chosen, coefficients=whole_difference) if adapter == "difference" else chosen
    return planted(chosen, faults, FAULTS)
