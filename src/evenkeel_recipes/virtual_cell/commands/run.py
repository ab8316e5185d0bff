"""From cells to a trained recipe and its scores."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from evenkeel import ops
from evenkeel_recipes.kit.faults import banner
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.outcome import Outcome, peak_memory, score_lines, write_metrics
from evenkeel_recipes.kit.refusal import DONE, NO_SKILL, STOPPED
from evenkeel_recipes.virtual_cell.cells.chosen import split_of, study_of
from evenkeel_recipes.virtual_cell.cells.learnt import learnt_from
from evenkeel_recipes.virtual_cell.cells.names import remapped
from evenkeel_recipes.virtual_cell.checkup.alarms import Alarm, alarms, alarms_of
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.generating.generate import Trained
from evenkeel_recipes.virtual_cell.generating.sampling import Bank
from evenkeel_recipes.virtual_cell.generating.store import write_trained
from evenkeel_recipes.virtual_cell.judging.outcome import evaluated, tell, verdict
from evenkeel_recipes.virtual_cell.judging.report import write_report
from evenkeel_recipes.virtual_cell.means.means import fit_means
from evenkeel_recipes.virtual_cell.means.profiles import profiles_of
from evenkeel_recipes.virtual_cell.model.model import VirtualCell, num_parameters
from evenkeel_recipes.virtual_cell.recipe import parts_of
from evenkeel_recipes.virtual_cell.training.course import ORDER, model_of, train, vocabulary_before
from evenkeel_recipes.virtual_cell.training.devices import device_of
from evenkeel_recipes.virtual_cell.training.flow_data import posteriors
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.memory import estimate, profile_lines
from evenkeel_recipes.virtual_cell.training.ranks import Ranks, begin_logging, joined

LOG = logging.getLogger("virtual_cell")
QUICK_EPOCHS = 2
USUAL_EPOCHS, USUAL_CELLS = 50, 10_000


def run(config: RunConfig) -> int:
    """Train, evaluate, and write everything to `config.out`; gives the exit status.

    Started by torchrun, all processes train one model; the first one writes, judges and tells.
    """
    with joined() as ranks:
        return _run(config, ranks)


def _run(config: RunConfig, ranks: Ranks) -> int:
    began = time.monotonic()
    begin_logging(ranks)
    parts, device = parts_of(config.encoder_input, config.adapter, config.fault), device_of(config.device, ranks)
    if ranks.is_first:
        sys.stderr.writelines(f"{line}\n" for line in banner(config.fault, FAULTS))
    study = study_of(config)
    if config.remap and (words := vocabulary_before(config)):
        study = remapped(study, words)
    ranks.refuse_unless_alike(study.sha256, "the cells")
    split = split_of(study, config)
    config = _with_epochs(config, len(split.train))
    config.out.mkdir(parents=True, exist_ok=True)
    if not config.resume and config.stage in {"vae", "all"}:
        _forget(config.out)
    material = Material(study, split, config, ranks, device)
    model = model_of(material, parts)
    LOG.info(
        "%d cells, %d genes, %d parameters on %s; %s",
        len(study),
        study.counts.shape[1],
        num_parameters(model),
        device,
        estimate(study, config, num_parameters(model)),
    )
    found = _told_alarms(alarms(model, material) if ranks.is_first else [])
    history = train(model, material)
    if not ranks.is_first:
        return DONE
    found += _told_alarms(alarms_of(history))
    if config.profile:
        sys.stdout.writelines(f"{line}\n" for line in profile_lines(history))
    if config.stage == "vae":
        return _tell_vae(history, config, began)
    trained = trained_of(model, material)
    settings = {**as_mapping(config), "faults": list(config.fault), "learnt": as_mapping(learnt_from(study, split))}
    write_trained(config.out, trained, settings)
    try:
        outcome, judged = evaluated(trained, material, began)
    except ops.NonFiniteVelocity as error:
        sys.stderr.write(f"sampling stopped: {error}\n")
        return STOPPED
    outcome = dataclasses.replace(outcome, population={**outcome.population, "alarms": found})
    write_metrics(config.out / "metrics.json", outcome)
    write_report(config.out / "report.html", outcome, judged, history, [*banner(config.fault, FAULTS), *found])
    tell(outcome, judged, trained, config.solver)
    sys.stdout.write(
        f"memory: the most at one time was {peak_memory() / 1e6:,.0f} MB; everything lies in {config.out}\n"
    )
    return verdict(outcome, config.require_skill)


def _told_alarms(found: Iterable[Alarm]) -> list[str]:
    """What is finite and wrong is told, and training goes on."""
    lines = [str(alarm) for alarm in found]
    for line in lines:
        LOG.warning("%s", line)
    return lines


def trained_of(model: VirtualCell, material: Material) -> Trained:
    """The model with what generating needs besides: control cells as latents, and the anchor of means."""
    study, config = material.study, material.config
    learnt = material.split.learnt
    controls = learnt[study.treatment[learnt] == study.control]
    bank = Bank(
        latents=posteriors(model, study, controls),
        log_library=torch.from_numpy(study.library[controls]).log()[:, None],
        batch=torch.from_numpy(study.batch[controls]),
        cell_type=torch.from_numpy(study.cell_type[controls]),
        spatial=None if study.spatial is None else torch.from_numpy(study.spatial[controls]),
    )
    if config.anchor == "none":
        return Trained(model, study.vocabulary, bank, None)
    alike = np.eye(len(study.vocabulary.perturbations))
    if config.perturbation_features is not None:
        alike = 0.5 * alike + 0.5 * study.features.astype(np.float64) @ study.features.T
    means = fit_means(
        profiles_of(study, learnt),
        study.codes.astype(np.float64),
        study.control,
        alike,
        len(study.vocabulary.cell_types),
    )
    LOG.info("effects: %s", means.known.anchor.relations)
    return Trained(model, study.vocabulary, bank, means)


def _tell_vae(history: Sequence[Mapping[str, Any]], config: RunConfig, began: float) -> int:
    if not history:
        raise click.UsageError("--stage vae with --epochs-vae 0 trains nothing, so there is nothing to tell")
    nll, marginal = (history[-1][name] for name in ("val_nll", "marginal_nll"))
    outcome = Outcome(
        headline="nll", model={"nll": nll}, baselines={"marginal": {"nll": marginal}}, higher_is_better={"nll": False},
        population={"stage": "vae"}, seconds=time.monotonic() - began, seed=config.seed,
    )  # fmt: skip
    write_metrics(config.out / "metrics.json", outcome)
    for line in score_lines(outcome):
        sys.stdout.write(line + "\n")
    return NO_SKILL if config.require_skill and not (outcome.skill or 0) > 0 else DONE


def _with_epochs(config: RunConfig, n_cells: int) -> RunConfig:
    """Epochs as they were given, or by the number of cells; two a stage in a quick test."""
    if config.quick_test:
        return dataclasses.replace(config, epochs_vae=QUICK_EPOCHS, epochs_flow=QUICK_EPOCHS, epochs_joint=QUICK_EPOCHS)
    usual = max(1, min(USUAL_EPOCHS, USUAL_EPOCHS * USUAL_CELLS // n_cells))
    vae, flow = (usual if asked < 0 else asked for asked in (config.epochs_vae, config.epochs_flow))
    return dataclasses.replace(config, epochs_vae=vae, epochs_flow=flow)


def _forget(out: Path) -> None:
    """A run that begins anew begins its history anew."""
    for name in ("history.jsonl", *(f"{stage}-progress.json" for stage in ORDER)):
        (out / name).unlink(missing_ok=True)
