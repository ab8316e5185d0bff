"""`predict`: proportions of bulk samples, by a model that a run has kept."""

from __future__ import annotations

import time
from dataclasses import replace

import click

from evenkeel_recipes.deconvolution.config import PredictConfig
from evenkeel_recipes.deconvolution.data.bulk import read_bulk, read_truth
from evenkeel_recipes.deconvolution.data.mixtures import composition
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.judging.cell_size import content_of, recounted
from evenkeel_recipes.deconvolution.judging.estimate import estimate, restricted
from evenkeel_recipes.deconvolution.judging.evaluate import baselines, outcome
from evenkeel_recipes.deconvolution.judging.keep import read_kept
from evenkeel_recipes.deconvolution.judging.report import write_proportions
from evenkeel_recipes.kit.faults import banner
from evenkeel_recipes.kit.outcome import score_lines, write_metrics
from evenkeel_recipes.kit.refusal import DONE


def predict(config: PredictConfig) -> int:
    """Estimate proportions; beside a truth, score them."""
    began = time.monotonic()
    kept = read_kept(config.model / "model.json")
    for line in banner(kept.faults, FAULTS):
        click.echo(line)
    bulk = read_bulk(config.bulk, kept.genes, config.assume)
    share = len(bulk.genes) / len(kept.genes)
    click.echo(
        f"{len(bulk.samples)} samples, {len(bulk.genes)} of {len(kept.genes)} genes of the reference ({share:.0%})"
    )
    if bulk.summed:
        click.echo(f"{len(bulk.summed)} genes stood there more than once and were summed: {', '.join(bulk.summed)}")
    signature = kept.estimator.signature
    content = content_of(config.cell_size, signature.content, kept.types)
    estimated = recounted(estimate(kept.estimator, bulk.counts, bulk.genes), signature.content, content)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    write_proportions(config.out, estimated, bulk.samples, kept.types)
    if estimated.strange.any():
        click.echo(
            f"{int(estimated.strange.sum())} of {len(bulk.samples)} samples have RNA that the reference does not "
            "explain: a type that it lacks, or a technology that few samples do not tell; see the column `strange`"
        )
    if config.truth is None:
        return DONE
    truth = read_truth(config.truth, bulk.samples, kept.types)
    if truth.left_out:
        click.echo(f"types that the reference lacks, left out of the truth: {', '.join(truth.left_out)}")
    simple = baselines(composition(bulk.counts), restricted(replace(signature, content=content), bulk.genes), None)
    result = outcome(estimated, simple, truth.fractions, time.monotonic() - began, 0, {"genes": len(bulk.genes)})
    write_metrics(config.out.with_suffix(".metrics.json"), result)
    for line in score_lines(result):
        click.echo(line)
    return DONE
