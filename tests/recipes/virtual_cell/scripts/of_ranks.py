"""What each rank has of the same training: steps with a rate of 0, a bad step, a refusal. Argument: where it goes."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.chosen import split_of
from evenkeel_recipes.virtual_cell.cells.simulate import simulate
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.training.course import model_of, refuse_in_parts, train
from evenkeel_recipes.virtual_cell.training.flow_data import posteriors, sha256_of
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks, joined

out = Path(sys.argv[1])
study = simulate(0, n_genes=40, cells_each=12)[0]


def material_of(ranks: Ranks, folder: str, **options: object) -> Material:
    """The screen, in batches of an odd number of cells, the last of one, so that a second rank has none of it."""
    config = RunConfig(out=out / folder, holdout=("P1+P2",), hidden_dim=32, batch_size=85, **options)
    config.out.mkdir(exist_ok=True)
    material = Material(study, split_of(study, config), config, ranks)
    assert len(material.split.train) % 85 == 1
    return material


def steps(ranks: Ranks) -> None:
    """Gradients of each step of all stages, with weights that never move; and the history."""
    kept: dict[str, torch.Tensor] = {}

    def noted(loss: Tensor, optimizer: Optimizer, parameters: Sequence[nn.Parameter], clip: float) -> Tensor:
        norm = HEALTHY.update(loss, optimizer, parameters, clip)
        kept[f"{len(kept):03d}"] = torch.cat([p.grad.flatten() * norm for p in parameters])
        return norm

    still = {"lr_vae": 0.0, "lr_flow": 0.0, "lr_joint": 0.0, "clip": 1e-3}
    material = material_of(ranks, "still", epochs_vae=1, epochs_flow=1, epochs_joint=1, **still)
    history = train(model_of(material, replace(HEALTHY, update=noted)), material)
    save_file(kept, out / f"gradients{ranks.rank}.safetensors")
    (out / f"history{ranks.rank}.json").write_text(json.dumps(history))


def bad_step(ranks: Ranks) -> None:
    """One cell is bad, which only one rank has; its step is left out on all."""
    material = material_of(ranks, "skipping", stage="vae", epochs_vae=1, policy="skip")
    special = float(study.library[material.split.train].max())

    def broken(counts: Tensor) -> Tensor:
        return torch.where(counts.sum(1, keepdim=True) == special, torch.nan, torch.log1p(counts))

    model = model_of(material, replace(HEALTHY, encoder_input=broken))
    (record,) = train(model, material)
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    told = {"nan_step": record["nan_step"], "skipped": record["skipped"], "sum": float(weights.double().sum())}
    (out / f"skipping{ranks.rank}.json").write_text(json.dumps(told))


def refusal(config: RunConfig, ranks: Ranks) -> str:
    """The sentence, if there is one."""
    try:
        refuse_in_parts(config, ranks)
    except Refused as error:
        return str(error)
    return ""


def cache(ranks: Ranks) -> None:
    """Latents of more pieces than there are ranks; and what needs whole batches."""
    many = study.take(np.tile(np.arange(len(study)), 5))
    material = material_of(ranks, "cache")
    found = posteriors(model_of(material, HEALTHY), many, np.arange(len(many)), ranks)
    options: tuple[dict[str, object], ...] = ({"lambda_dist": 1.0}, {"gradient_checkpointing": True})
    refused = [refusal(replace(material.config, **option), ranks) for option in options]
    told = {"sha256": sha256_of(found), "refused": refused}
    (out / f"cache{ranks.rank}.json").write_text(json.dumps(told))


with joined() as ranks_:
    assert ranks_.size == int(os.environ.get("WORLD_SIZE", "1"))
    steps(ranks_)
    bad_step(ranks_)
    cache(ranks_)
