"""A trained model judged on the cells of its run or on others; nothing is trained."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np

from evenkeel import ops
from evenkeel_recipes.kit.faults import banner
from evenkeel_recipes.kit.options import from_mapping
from evenkeel_recipes.kit.outcome import write_metrics
from evenkeel_recipes.kit.refusal import DONE, STOPPED, Refused
from evenkeel_recipes.virtual_cell.cells.chosen import judged_by, study_of
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.learnt import asked_of_model, cautions, learnt_of
from evenkeel_recipes.virtual_cell.cells.names import remapped
from evenkeel_recipes.virtual_cell.config import EvaluateConfig, RunConfig
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.generating.by_name import load, under_names
from evenkeel_recipes.virtual_cell.generating.store import settings_of
from evenkeel_recipes.virtual_cell.judging.outcome import evaluated, tell, verdict
from evenkeel_recipes.virtual_cell.judging.report import write_report
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks, begin_logging, joined


def evaluate(config: EvaluateConfig) -> int:
    """Print, and write where asked to, what `run` tells about held-out conditions. Of several processes, one does."""
    with joined() as ranks:
        return _evaluate(config) if ranks.is_first else DONE


def _evaluate(config: EvaluateConfig) -> int:
    began = time.monotonic()
    begin_logging(Ranks())
    settings = settings_of(config.model)
    _refuse_the_runs_directory(config)
    sys.stderr.writelines(f"{line}\n" for line in banner(settings["faults"], FAULTS))
    learnt, asked = learnt_of(settings), asked_of(config, settings)
    (trained, _), study = load(config.model), study_of(asked)
    if config.remap:
        study = _by_name(study, trained.vocabulary)
    else:
        trained = under_names(trained, study.vocabulary)
    split = asked_of_model(learnt, study, judged_by(study, asked))
    notes = list(cautions(learnt, study, split))
    try:
        outcome, judged = evaluated(trained, Material(study, split, asked), began)
    except ops.NonFiniteVelocity as error:
        sys.stderr.write(f"sampling stopped: {error}\n")
        return STOPPED
    tell(outcome, judged, trained, asked.solver)
    sys.stdout.writelines(f"{note}\n" for note in notes)
    if config.out is not None:
        config.out.mkdir(parents=True, exist_ok=True)
        write_metrics(config.out / "metrics.json", outcome)
        write_report(config.out / "report.html", outcome, judged, (), [*banner(asked.fault, FAULTS), *notes])
        sys.stdout.write(f"metrics.json and report.html lie in {config.out}\n")
    return verdict(outcome, config.require_skill)


def asked_of(config: EvaluateConfig, settings: Mapping[str, Any]) -> RunConfig:
    """The options of the run, those that were given in their place; --holdout and --split replace each other."""
    names = {field.name for field in fields(RunConfig)}
    of_run = from_mapping(RunConfig, {name: settings[name] for name in names if name in settings})
    given = {name: value for name in names & {field.name for field in fields(EvaluateConfig)}
             if (value := getattr(config, name)) is not None}  # fmt: skip
    if not (config.holdout or config.split):
        given["holdout"], given["split"] = of_run.holdout, of_run.split
    else:
        given["split"] = config.split
    return replace(of_run, **given, spatial_key=None)  # cells begin where the run's controls lay


def _by_name(study: Study, words: Vocabulary) -> Study:
    """The cells under the names of the model. Batches take no part in scores, so others than it knows are put aside."""
    if set(study.vocabulary.batches) <= set(words.batches):
        return remapped(study, words)
    one = replace(study.vocabulary, batches=words.batches)
    return remapped(replace(study, vocabulary=one, batch=np.zeros_like(study.batch)), words)


def _refuse_the_runs_directory(config: EvaluateConfig) -> None:
    if config.out is not None and config.out.resolve() == config.model.resolve():
        raise Refused(
            f"--out {config.out} is the directory of the run, whose own metrics.json lies there; name another"
        )
