"""The recipe from end to end: cells, pseudo-bulk samples, training, judgement, the user's own bulk."""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
from lightning.pytorch.utilities import rank_zero_only

from evenkeel_recipes.deconvolution.commands.predict import predict
from evenkeel_recipes.deconvolution.config import PredictConfig, RunConfig
from evenkeel_recipes.deconvolution.data.bulk import read_bulk, read_truth
from evenkeel_recipes.deconvolution.data.cells import read_cells_of
from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.judging.estimate import calibrated, settle
from evenkeel_recipes.deconvolution.judging.judge import judge
from evenkeel_recipes.deconvolution.judging.keep import Kept, write_kept
from evenkeel_recipes.deconvolution.judging.report import write_proportions, write_report, write_signature
from evenkeel_recipes.deconvolution.networks.model import Deconvolution
from evenkeel_recipes.deconvolution.science import Science, healthy
from evenkeel_recipes.deconvolution.training.options import Options, refuse_other_training, write_options
from evenkeel_recipes.deconvolution.training.samples import (
    Prepared,
    known_signature,
    simulate,
    to_calibrate,
    to_train_on,
)
from evenkeel_recipes.deconvolution.training.stored import AGAIN, other_options, read, write
from evenkeel_recipes.deconvolution.training.train import train, train_again
from evenkeel_recipes.kit.faults import banner, planted
from evenkeel_recipes.kit.outcome import score_lines, write_metrics
from evenkeel_recipes.kit.refusal import DONE, NO_SKILL, Refused

tell = rank_zero_only(click.echo)


def run(asked: RunConfig) -> int:
    """Train, judge on cells nobody trained on, and estimate the bulk samples, where there are any."""
    began = time.monotonic()
    science = planted(healthy(asked), asked.fault, FAULTS)
    for line in banner(asked.fault, FAULTS):
        tell(line)
    given = quick(asked) if asked.quick_test else asked
    config = science.configured(given)
    _settled_by_the_user(config)
    config.out.mkdir(parents=True, exist_ok=True)
    if not own_rank():
        refuse_other_training(given)
        write_options(config.out, Options(given, config))
    reference = read_cells_of(config, tell)
    _look_at_bulk(config, reference)
    parts = science.parts(reference, config.seed)
    prepared = prepare(parts, config, science)
    signature = known_signature(parts.train, science)
    trained = train(parts.train, signature, prepared, parts.validation, config, science)
    prepared = replace(prepared, train=prepared.train.without_view())
    gc.collect()  # a trainer and its module hold one another, and the samples
    model, whole = on_all_cells(reference, trained.epochs, config, science)
    gc.collect()  # the same again
    if own_rank():
        return DONE  # one process judges and writes
    estimator = settle(trained.model, science.emitted, signature, prepared.val, config.members)
    judged = judge(estimator, prepared, parts, config, science, began)
    widths = calibrated(trained.model, science.emitted, estimator.weights, to_calibrate(parts, config, science))
    whole_estimator = replace(estimator, model=model, signature=whole, calibration=widths)
    kept = Kept(whole_estimator, reference.genes, reference.types, config.fault)
    write_kept(config.out / "model.json", kept, config)
    write_metrics(config.out / "metrics.json", judged.outcome)
    write_signature(config.out / "signature.csv", whole, reference.genes, reference.types)
    write_report(config.out, judged, reference.types)
    for line in score_lines(judged.outcome):
        click.echo(line)
    click.echo(judged.verdict)
    if config.bulk is not None:
        predict(PredictConfig(config.bulk, config.out, config.out / "proportions.csv", config.truth, config.assume))
    else:
        write_proportions(config.out / "proportions.csv", judged.estimated, judged.samples, reference.types)
    return NO_SKILL if config.require_skill and not judged.beats_all else DONE


def own_rank() -> int:
    """Which of the processes that Lightning started this one is; 0 where it started none."""
    return int(getattr(rank_zero_only, "rank", 0))


def quick(config: RunConfig) -> RunConfig:
    """The same, in a minute; samples that are there already are taken as they are."""
    if config.data_dir is not None:
        return replace(config, max_epochs=2)
    return replace(config, n_train=1200, n_val=150, n_test=100, redraws=4, max_epochs=2, n_genes=500)


def data_of(config: RunConfig) -> Path:
    """Where the samples of a run are."""
    return config.data_dir or config.out / "data"


def prepare(parts: Parts, config: RunConfig, science: Science) -> Prepared:
    """The samples of all splits: those of `simulate` or of the run that is resumed, or new ones; read back either way.

    Raises:
        Refused: those that are there were made with other options, or cannot be trained on.
    """
    directory = data_of(config)
    if config.data_dir is not None or ((config.resume or own_rank()) and (directory / "manifest.json").is_file()):
        if differ := other_options(directory, config):
            same = f" (--config {directory / 'run.yaml'})" if (directory / "run.yaml").is_file() else ""
            raise Refused(
                f"{directory}: samples made with other options: {'; '.join(differ)}; give the same{same}, or {AGAIN}"
            )
    else:
        tell(f"Normalizing bulk data (target_sum=1e4, log1p)... {config.n_train:,} training samples")
        write(directory, simulate(parts, config, science), parts, config)
        science.stored(directory)
    prepared = read(directory, parts, science)
    view = prepared.train.view
    tell(f"bulk range {view.min():.2f} to {view.max():.2f}, mean {view.mean():.2f}")
    return prepared


def on_all_cells(
    reference: Reference, epochs: int, config: RunConfig, science: Science
) -> tuple[Deconvolution, Signature]:
    """A model that is trained on the cells too that the other one is chosen and judged by, and the signature of all."""
    signature = known_signature(reference, science)
    split = to_train_on(reference, config, science)
    return train_again(reference, signature, split, epochs, config, science), signature


def _look_at_bulk(config: RunConfig, reference: Reference) -> None:
    """Refuse bulk samples and their truth before training, rather than after it."""
    if config.bulk is None:
        return
    bulk = read_bulk(config.bulk, reference.genes, config.assume)
    if config.truth is not None:
        read_truth(config.truth, bulk.samples, reference.types)


def _settled_by_the_user(config: RunConfig) -> None:
    """Ask before a full run, where somebody is there to answer."""
    if config.yes or config.quick_test or not sys.stdin.isatty():
        return
    click.confirm(f"train for up to {config.max_epochs} epochs into {config.out}?", default=True, abort=True)
