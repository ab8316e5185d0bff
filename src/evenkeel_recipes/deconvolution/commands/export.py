"""`export-signature`: what the types look like, as a table for other programs."""

from __future__ import annotations

from dataclasses import replace

import click
import torch

from evenkeel_recipes.deconvolution.config import ExportConfig
from evenkeel_recipes.deconvolution.judging.keep import read_kept
from evenkeel_recipes.deconvolution.judging.report import write_signature
from evenkeel_recipes.kit.refusal import DONE


def export_signature(config: ExportConfig) -> int:
    """Write counts per million, a row a gene, under a row with the relative mRNA content of a cell of each type."""
    kept = read_kept(config.model / "model.json")
    signature = kept.estimator.signature
    if config.which == "learned":
        with torch.no_grad():
            signature = replace(signature, composition=kept.estimator.model.signature().double().numpy())
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_signature(config.out, signature, kept.genes, kept.types)
    click.echo(f"{config.out}: {len(kept.genes):,} genes, {len(kept.types)} types")
    return DONE
