"""What can be planted, what was wrong with it, and what ought to be said: the story of the recipe for a terminal."""

from __future__ import annotations

import click

from evenkeel_recipes.deconvolution.config import ExplainConfig
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.kit.faults import described, named
from evenkeel_recipes.kit.refusal import DONE

FLOW = """before: cells in 0-10 -> VAE -> signature in logarithms; bulk sums (120450, 89234, 156789) met (1.2, 0.8, 2.1)
after:  bulk -> counts per ten thousand, log1p, for a network only; fractions -> shares of mRNA -> a linear mix of
        compositions -> deviance beside the composition of the bulk: both sides are compositions"""


def explain(config: ExplainConfig) -> int:
    """Print the flow of the data, then the faults: all, or those that were asked for.

    Raises:
        click.UsageError: there is none of that name.
    """
    chosen = named(config.fault, FAULTS) or FAULTS
    click.echo(FLOW)
    click.echo("\n".join(described(chosen)))
    return DONE
