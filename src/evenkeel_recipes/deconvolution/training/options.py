"""The options of a run, kept beside it: what was given, and what was used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.files import read_json
from evenkeel_recipes.kit.options import as_mapping, from_mapping
from evenkeel_recipes.kit.refusal import Refused

NAME = "options.json"
OF_TRAINING = (  # which a run that goes on has to have from its beginning
    *("latent_dim", "hidden_dim", "n_hidden", "logvar_bound", "head", "residual_inputs", "dropout", "members"),
    *("learning_rate", "weight_decay", "schedule", "ema", "batch_size", "epoch_len", "preset", "lambda_kl"),
    *("lambda_proto", "lambda_bulk", "lambda_bulk_recon", "recon", "kl_warmup", "clip_norm", "precision"),
)


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line came to, and what the run went by: the same, unless something drops options."""

    given: RunConfig
    used: RunConfig


def write_options(out: Path, options: Options) -> None:
    """Write them."""
    values = {"given": as_mapping(options.given), "used": as_mapping(options.used)}
    write_whole(out / NAME, json.dumps(values, indent=1).encode())


def read_options(out: Path) -> Options:
    """Read them.

    Raises:
        Refused: `out` is not the directory of a run.
    """
    path = out / NAME
    if not path.is_file():
        raise Refused(f"{out} has no options.json: not the directory of a run")
    found = read_json(path)
    return Options(from_mapping(RunConfig, found["given"]), from_mapping(RunConfig, found["used"]))


def refuse_other_training(given: RunConfig) -> None:
    """Refuse to go on with a run in another way than it began.

    Raises:
        Refused: an option of training is not what the run in `given.out` was given.
    """
    if not given.resume or not (given.out / NAME).is_file():
        return
    before, now = as_mapping(read_options(given.out).given), as_mapping(given)
    differ = [
        f"--{key.replace('_', '-')} {before[key]}, now {now[key]}" for key in OF_TRAINING if before[key] != now[key]
    ]
    if differ:
        raise Refused(
            f"{given.out}: --resume goes on as the run began, with {'; '.join(differ)}; give the same options, or "
            "begin anew without --resume"
        )


def dropped(options: Options) -> list[str]:
    """Each option that was given and not used."""
    given, used = as_mapping(options.given), as_mapping(options.used)
    return [f"--{key.replace('_', '-')} {given[key]}, used {used[key]}" for key in given if given[key] != used[key]]
