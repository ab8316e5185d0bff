"""From cells to a trained recipe and its scores."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from evenkeel import ops
from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.faults import banner, planted
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.outcome import Outcome, peak_memory, score_lines, write_metrics
from evenkeel_recipes.kit.refusal import DONE, NO_SKILL, STOPPED
from evenkeel_recipes.virtual_cell.anchor import fit_anchor
from evenkeel_recipes.virtual_cell.config import DataConfig, RunConfig
from evenkeel_recipes.virtual_cell.data import Study
from evenkeel_recipes.virtual_cell.evaluate import Judged, Judging, judge, summary
from evenkeel_recipes.virtual_cell.faults import FAULTS
from evenkeel_recipes.virtual_cell.flow_data import posteriors
from evenkeel_recipes.virtual_cell.healthy import HEALTHY, log1p_cp10k
from evenkeel_recipes.virtual_cell.memory import estimate
from evenkeel_recipes.virtual_cell.model import Sizes, VirtualCell, num_parameters
from evenkeel_recipes.virtual_cell.parts import Parts
from evenkeel_recipes.virtual_cell.profiles import profiles_of
from evenkeel_recipes.virtual_cell.reading import read_study
from evenkeel_recipes.virtual_cell.report import write_report
from evenkeel_recipes.virtual_cell.sampling import Bank, How, begin, solver_error
from evenkeel_recipes.virtual_cell.simulate import simulate
from evenkeel_recipes.virtual_cell.split import EMBEDDED, Split, split_study, trained_perturbations, wanted_of
from evenkeel_recipes.virtual_cell.stages import flow_stage, joint_stage, vae_stage
from evenkeel_recipes.virtual_cell.store import vocabulary_of, write_trained
from evenkeel_recipes.virtual_cell.train import Running, run_stage
from evenkeel_recipes.virtual_cell.virtual import Trained
from evenkeel_recipes.virtual_cell.watching import Material

LOG = logging.getLogger("virtual_cell")
QUICK_EPOCHS = 2
USUAL_EPOCHS, USUAL_CELLS = 50, 10_000
ORDER = ("vae", "flow", "joint")


def run(config: RunConfig) -> int:
    """Train, evaluate, and write everything to `config.out`; gives the exit status."""
    began = time.monotonic()
    _begin_logging()
    parts = parts_of(config)
    study = study_of(config)
    split = split_of(study, config)
    config = _with_epochs(config, len(split.train))
    config.out.mkdir(parents=True, exist_ok=True)
    if not config.resume and config.stage in {"vae", "all"}:
        _forget(config.out)
    material = Material(study, split, config)
    model = model_of(material, parts)
    LOG.info(
        "%d cells, %d genes, %d parameters; %s",
        len(study),
        study.counts.shape[1],
        num_parameters(model),
        estimate(study, config, num_parameters(model)),
    )
    history = train(model, material)
    if config.stage == "vae":
        return _tell_vae(history, config, began)
    trained = trained_of(model, material)
    write_trained(config.out, trained, {**as_mapping(config), "faults": list(config.fault)})
    try:
        outcome, judged = evaluated(trained, material, began)
    except ops.NonFiniteVelocity as error:
        sys.stderr.write(f"sampling stopped: {error}\n")
        return STOPPED
    write_metrics(config.out / "metrics.json", outcome)
    write_report(config.out / "report.html", outcome, judged, history, list(banner(config.fault, FAULTS)))
    return _told(outcome, judged, config)


def parts_of(config: RunConfig) -> Parts:
    """The recipe as configured, with the faults that were asked for, and a banner for these."""
    for line in banner(config.fault, FAULTS):
        sys.stderr.write(line + "\n")
    chosen = (
        dataclasses.replace(HEALTHY, encoder_input=log1p_cp10k) if config.encoder_input == "log1p_cp10k" else HEALTHY
    )
    return planted(chosen, config.fault, FAULTS)


def study_of(config: DataConfig) -> Study:
    """The cells of `--data`, or simulated ones."""
    study = read_study(config, config.data) if config.data else simulate(config.seed)[0]
    for notice in study.notices:
        LOG.warning("%s", notice)
    return study


def split_of(study: Study, config: RunConfig) -> Split:
    """What `--holdout` and `--split` ask for; without them three conditions of simulated cells, or cells at random."""
    asked = config.holdout or (EMBEDDED if not (config.data or config.split) else ())
    wanted = wanted_of(study, asked, config.split, config.seed)
    return split_study(study, wanted, not wanted, config.seed)


def model_of(material: Material, parts: Parts) -> VirtualCell:
    """A model with drawn weights."""
    study, config, words = material.study, material.config, material.study.vocabulary
    n_codes = parts.code(torch.zeros(1, len(words.perturbations))).shape[1]
    has_features = config.perturbation_features is not None
    sizes = Sizes(
        n_genes=len(words.genes), n_batch=len(words.batches), n_types=len(words.cell_types), n_codes=n_codes,
        n_features=study.features.shape[1] if has_features else n_codes,
        spatial_dim=0 if study.spatial is None else study.spatial.shape[1],
        dim_int=config.dim_int, dim_tech=config.dim_tech, hidden_dim=config.hidden_dim, dropout=config.dropout,
        log_var_bound=config.log_var_bound, per_batch_theta=config.dispersion == "gene_batch", init=config.init,
        checkpointing=config.gradient_checkpointing,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = VirtualCell(sizes, parts)
    if has_features:
        model.field.features.copy_(torch.from_numpy(study.features))
    else:
        known = trained_perturbations(study, _learnt(material.split)).astype(np.float32)
        model.field.is_known[: len(known)] = torch.from_numpy(known)
    return model


def policy_named(name: str) -> Literal["stop", "skip", "observe"]:
    """A policy by its name; the command line has none but these."""
    return "skip" if name == "skip" else "observe" if name == "observe" else "stop"


def train(model: VirtualCell, material: Material) -> list[dict[str, object]]:
    """The stages that were asked for, each from where the one before it ended."""
    config = material.config
    running = Running(
        out=config.out, seed=config.seed, policy=policy_named(config.policy), clip=config.clip,
        weight_decay=config.weight_decay, cosine=config.schedule == "cosine", bfloat16=config.precision == "bfloat16",
        listing_interval=config.nan_check_interval, resume=config.resume,
    )  # fmt: skip
    wanted = ORDER if config.stage == "all" else (config.stage,)
    if config.stage in {"flow", "joint"}:
        _restore(model, config.out / f"{ORDER[ORDER.index(config.stage) - 1]}.json", material)
    history: list[dict[str, object]] = []
    for name in wanted:
        stage = {"vae": vae_stage, "flow": flow_stage, "joint": joint_stage}[name](model, material)
        history += run_stage(stage, model, running)
        if stage.averaged is not None:
            model.field.load_state_dict(stage.averaged.module.state_dict())
        kept = {key: value.clone() for key, value in model.state_dict().items()}
        facts = {"vocabulary": dataclasses.asdict(material.study.vocabulary), "faults": list(config.fault)}
        write_checkpoint(config.out / f"{name}.json", Checkpoint(kept, facts))
    return history


def trained_of(model: VirtualCell, material: Material) -> Trained:
    """The model with what generating needs besides: control cells as latents, and the anchor of means."""
    study, config = material.study, material.config
    learnt = _learnt(material.split)
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
    anchor = fit_anchor(
        profiles_of(study, learnt),
        study.codes.astype(np.float64),
        study.control,
        alike,
        len(study.vocabulary.cell_types),
    )
    LOG.info("means rest on additive effects: %s", anchor.relations)
    return Trained(model, study.vocabulary, bank, anchor)


def evaluated(trained: Trained, material: Material, began: float) -> tuple[Outcome, list[Judged]]:
    """Scores of everything that was held out."""
    config = material.config
    how = How(config.solver, config.n_steps, config.guidance, config.tech, config.source)
    judged = judge(Judging(trained, material.study, material.split, how, config.eval_cells, config.seed))
    found = summary(judged)
    below = [one.name for one in judged if one.is_below_noise]
    population: dict[str, object] = {
        "conditions": len(judged),
        "cells": sum(one.num_cells for one in judged),
        "kinds": {kind: sum(one.kind == kind for one in judged) for kind in sorted({one.kind for one in judged})},
        "undefined_below_noise": below,
        "without_information": [one.name for one in judged if one.is_without_information],
        "flow_alone": dict(found.flow_alone),
        "split_halves": dict(found.halves),
        "solver_error_rms": _solver_error(trained, material, how),
        "faults": list(config.fault),
    }
    return Outcome(
        headline="rmse" if found.model["pearson_delta"] is None else "pearson_delta",
        model=found.model, baselines=found.baselines, higher_is_better=found.higher_is_better, population=population,
        seconds=time.monotonic() - began, seed=config.seed, ceiling=found.ceiling,
    ), judged  # fmt: skip


def _solver_error(trained: Trained, material: Material, how: How) -> float:
    """Of the latents of one held-out condition: root mean square, by halving the steps."""
    held = material.split.held_out[0]
    places = trained.bank.pick(held.cell_type, None, material.config.eval_cells, torch.Generator().manual_seed(0))
    code = torch.from_numpy(material.study.codes[held.treatment])
    return solver_error(trained.model, begin(trained.bank, places, how, 0), code, how)


def _told(outcome: Outcome, judged: Sequence[Judged], config: RunConfig) -> int:
    for line in score_lines(outcome):
        sys.stdout.write(f"{line} | coverage={_coverage(line, judged)}\n")
    for one in judged:
        if one.is_below_noise:
            sys.stdout.write(f"{one.name}: undefined, below noise: two halves of its cells do not agree on an effect\n")
        if one.is_without_information:
            sys.stdout.write(
                f"{one.name}: no information: none of its perturbations was trained (--perturbation-features)\n"
            )
    sys.stdout.write(
        f"memory: the most at one time was {peak_memory() / 1e6:,.0f} MB; everything lies in {config.out}\n"
    )
    skill = outcome.skill
    beaten = skill is not None and skill > 0
    sys.stdout.write(
        f"verdict: {'better' if beaten else 'no better'} than the best baseline ({outcome.best_baseline}) "
        f"in {outcome.headline}\n"
    )
    return NO_SKILL if config.require_skill and not beaten else DONE


def _coverage(line: str, judged: Sequence[Judged]) -> str:
    name, _, kind = line.partition("=")[0].partition("@")
    informed = [one for one in judged if not one.is_without_information] or judged
    group = [one for one in judged if one.kind == kind] if kind else informed
    return f"{sum(one.model[name] is not None for one in group)}/{len(group)}"


def _tell_vae(history: Sequence[Mapping[str, object]], config: RunConfig, began: float) -> int:
    nll, marginal = (float(str(history[-1][name])) for name in ("val_nll", "marginal_nll"))
    outcome = Outcome(
        headline="nll", model={"nll": nll}, baselines={"marginal": {"nll": marginal}}, higher_is_better={"nll": False},
        population={"stage": "vae"}, seconds=time.monotonic() - began, seed=config.seed,
    )  # fmt: skip
    write_metrics(config.out / "metrics.json", outcome)
    for line in score_lines(outcome):
        sys.stdout.write(line + "\n")
    return DONE


def _restore(model: VirtualCell, path: Path, material: Material) -> None:
    kept = read_checkpoint(path)
    model.parts.check_vocabulary(material.study.vocabulary, vocabulary_of(kept.facts["vocabulary"]))  # type: ignore[arg-type]
    model.load_state_dict(dict(kept.tensors))


def _learnt(split: Split) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.sort(np.concatenate([split.train, split.validation]))


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


def _begin_logging() -> None:
    logging.basicConfig(format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    LOG.setLevel(logging.INFO)
