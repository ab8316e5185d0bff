"""From drawn weights to trained ones: the stages that were asked for, in their order."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import Vocabulary, vocabulary_of
from evenkeel_recipes.virtual_cell.cells.split import trained_perturbations
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.model.sizes import Sizes
from evenkeel_recipes.virtual_cell.training.devices import CPU
from evenkeel_recipes.virtual_cell.training.loop import Running, run_stage
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks
from evenkeel_recipes.virtual_cell.training.stages import flow_stage, joint_stage, vae_stage

ORDER = ("vae", "flow", "joint")


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
        known = trained_perturbations(study, material.split.learnt).astype(np.float32)
        model.field.is_known[: len(known)] = torch.from_numpy(known)
    return model


def train(model: VirtualCell, material: Material) -> list[dict[str, object]]:
    """The stages that were asked for, each from where the one before it ended; gives a record an epoch.

    Every rank trains; the first one writes. The model comes back to the CPU.
    """
    config, ranks = material.config, material.ranks
    refuse_in_parts(config, ranks)
    running = _running(material)
    wanted = ORDER if config.stage == "all" else (config.stage,)
    if before := stage_before(config.stage):
        _restore(model, config.out / f"{before}.json", material)
    model.to(material.device)
    history: list[dict[str, object]] = []
    for name in wanted:
        stage = {"vae": vae_stage, "flow": flow_stage, "joint": joint_stage}[name](model, material)
        history += run_stage(stage, model, running)
        if stage.averaged is not None:
            model.field.load_state_dict(stage.averaged.module.state_dict())
        kept = {key: value.clone() for key, value in model.state_dict().items()}
        facts = {"vocabulary": asdict(material.study.vocabulary), "faults": list(config.fault)}
        if ranks.is_first:
            write_checkpoint(config.out / f"{name}.json", Checkpoint(kept, facts))
    model.to(CPU)
    return history


def stage_before(stage: str) -> str | None:
    """Which stage has to be done before this one can be; None: none."""
    return ORDER[ORDER.index(stage) - 1] if stage in ORDER[1:] else None


def vocabulary_before(config: RunConfig) -> Vocabulary | None:
    """The names that the stage before the one asked for was trained with; None where there is no such stage."""
    before = stage_before(config.stage)
    if before is None:
        return None
    return vocabulary_of(read_checkpoint(config.out / f"{before}.json").facts["vocabulary"])


def refuse_in_parts(config: RunConfig, ranks: Ranks) -> None:
    """Refuse what a process cannot do that has only some rows of a batch.

    Raises:
        Refused: distances between sets of cells are to be trained on, or a forward would come again in backward, when
            nobody draws its random numbers for all rows.
    """
    asked = (
        f"--lambda-dist {config.lambda_dist:g}, which compares sets of cells of a batch," if config.lambda_dist else ""
    )
    asked = asked or ("--gradient-checkpointing" if config.gradient_checkpointing else "")
    if asked and ranks.size > 1:
        raise Refused(
            f"{asked} needs whole batches, and each of {ranks.size} processes has a part; train in one process"
        )


def _running(material: Material) -> Running:
    config = material.config
    return Running(
        out=config.out, seed=config.seed, policy=_policy_named(config.policy), clip=config.clip,
        weight_decay=config.weight_decay, cosine=config.schedule == "cosine", bfloat16=config.precision == "bfloat16",
        listing_interval=config.nan_check_interval, resume=config.resume, has_fault=config.is_planted,
        ranks=material.ranks,
    )  # fmt: skip


def _policy_named(name: str) -> Literal["stop", "skip", "observe"]:
    """A policy by its name; the command line has none but these."""
    return "skip" if name == "skip" else "observe" if name == "observe" else "stop"


def _restore(model: VirtualCell, path: Path, material: Material) -> None:
    kept = read_checkpoint(path)
    model.parts.check_vocabulary(material.study.vocabulary, vocabulary_of(kept.facts["vocabulary"]))
    model.load_state_dict(dict(kept.tensors))
