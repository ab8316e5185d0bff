"""A trained recipe on disk: tensors, and the names and settings without which they mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenkeel_recipes.kit.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from evenkeel_recipes.kit.refusal import Refused
from evenkeel_recipes.virtual_cell.cells.conditions import vocabulary_of
from evenkeel_recipes.virtual_cell.generating.generate import Trained
from evenkeel_recipes.virtual_cell.generating.sampling import Bank
from evenkeel_recipes.virtual_cell.means.anchor import Anchor, Design, Likeness, Relations
from evenkeel_recipes.virtual_cell.means.means import Means, known_from
from evenkeel_recipes.virtual_cell.model.latents import Posterior
from evenkeel_recipes.virtual_cell.model.model import VirtualCell
from evenkeel_recipes.virtual_cell.model.parts import Parts
from evenkeel_recipes.virtual_cell.model.sizes import Sizes

MODEL = "model.json"


def write_trained(out: Path, trained: Trained, settings: Mapping[str, object]) -> None:
    """Write `out/model.json` and its tensors; refused where a number is not finite."""
    tensors = {f"model.{name}": value for name, value in trained.model.state_dict().items()}
    bank = trained.bank
    tensors |= {f"bank.{name}": value for name, value in zip(Posterior._fields, bank.latents, strict=True)}
    tensors |= {"bank.log_library": bank.log_library, "bank.batch": bank.batch, "bank.cell_type": bank.cell_type}
    if bank.spatial is not None:
        tensors["bank.spatial"] = bank.spatial
    facts: dict[str, object] = {
        "vocabulary": asdict(trained.vocabulary),
        "vocabulary_sha256": trained.vocabulary.sha256,
        "sizes": asdict(trained.model.sizes),
        "settings": dict(settings),
    }
    if trained.anchor is not None:
        means = trained.anchor
        for part, anchor in (("anchor", means.known.anchor), ("sloped", means.known.sloped)):
            tensors |= {f"{part}.{name}": torch.from_numpy(array.copy()) for name, array in _arrays(anchor).items()}
            facts[part] = asdict(anchor.relations)
        facts["shares"], facts["judged_by"] = means.shares, means.judged_by
    write_checkpoint(out / MODEL, Checkpoint({name: tensor.clone() for name, tensor in tensors.items()}, facts))


def read_trained(out: Path, parts: Parts) -> tuple[Trained, Mapping[str, Any]]:
    """What `write_trained` wrote, and the settings beside it.

    Raises:
        Refused: it is missing, damaged, or its names are not those it was trained with.
    """
    kept = read_checkpoint(out / MODEL)
    facts: Mapping[str, Any] = kept.facts
    vocabulary = vocabulary_of(facts["vocabulary"])
    if vocabulary.sha256 != facts["vocabulary_sha256"]:
        raise Refused(f"{out / MODEL}: the names were changed since it was trained; the order of parameters is theirs")
    model = VirtualCell(Sizes(**facts["sizes"]), parts)
    model.load_state_dict(_under("model.", kept.tensors))
    bank = _under("bank.", kept.tensors)
    anchor = _means(kept.tensors, facts) if "anchor" in facts else None
    latents = Posterior(*(bank[name] for name in Posterior._fields))
    cells = Bank(latents, bank["log_library"], bank["batch"], bank["cell_type"], bank.get("spatial"))
    return Trained(model.eval(), vocabulary, cells, anchor), facts["settings"]


def settings_of(out: Path) -> Mapping[str, Any]:
    """The settings that a model was trained with."""
    settings: Mapping[str, Any] = read_checkpoint(out / MODEL).facts["settings"]  # type: ignore[assignment]
    return settings


def _arrays(anchor: Anchor) -> dict[str, np.ndarray[Any, Any]]:
    # A type without controls is infinitely far from all others; a checkpoint holds finite numbers only.
    distance = np.where(np.isfinite(anchor.likeness.distance), anchor.likeness.distance, -1.0)
    return {
        "code": anchor.design.code,
        "cell_type": anchor.design.cell_type,
        "mean": anchor.mean,
        "number": anchor.number,
        "variance": anchor.variance,
        "alike": anchor.likeness.perturbations,
        "distance": distance,
        "weights": anchor.weights,
    }


def _anchor(tensors: Mapping[str, Tensor], relations: Mapping[str, Any]) -> Anchor:
    a = {name: tensor.numpy() for name, tensor in tensors.items()}
    distance = np.where(a["distance"] < 0, np.inf, a["distance"])
    return Anchor(
        design=Design(a["code"], a["cell_type"]),
        mean=a["mean"],
        number=a["number"],
        variance=a["variance"],
        likeness=Likeness(a["alike"], distance),
        relations=Relations(**relations),
        weights=a["weights"],
    )


def _means(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Means:
    anchor, sloped = (_anchor(_under(f"{part}.", tensors), facts[part]) for part in ("anchor", "sloped"))
    return Means(known_from(anchor, sloped), facts["shares"], facts["judged_by"])


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
