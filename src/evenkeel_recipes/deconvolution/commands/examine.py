"""`test`: a checkpoint, judged on new mixtures of cells that it has not seen."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError  # what torch.load says of a foreign file; nothing is unpickled
from typing import Any

import click
import torch

from evenkeel_recipes.deconvolution.commands.run import data_of
from evenkeel_recipes.deconvolution.config import TestConfig
from evenkeel_recipes.deconvolution.data.cells import read_cells_of
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.judging.estimate import settle
from evenkeel_recipes.deconvolution.judging.judge import judge
from evenkeel_recipes.deconvolution.judging.report import write_report
from evenkeel_recipes.deconvolution.networks.model import Deconvolution
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.options import read_options
from evenkeel_recipes.deconvolution.training.samples import known_signature, to_judge_by
from evenkeel_recipes.deconvolution.training.stored import read
from evenkeel_recipes.deconvolution.training.train import build
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.faults import banner, planted
from evenkeel_recipes.kit.outcome import score_lines, write_metrics
from evenkeel_recipes.kit.refusal import DONE, Refused


def examine(config: TestConfig) -> int:
    """Score a checkpoint of a run beside the baselines, on mixtures of the cells that the run held out.

    The run's reference is read and divided again; the checkpoint is of the model that was chosen on validation
    mixtures, not of the one that was trained on all cells at last.

    Raises:
        Refused: there is no such checkpoint, it is of another model, or reference or samples have changed since.
    """
    began = time.monotonic()
    path = _chosen(config)
    run = path.parent.parent
    used = read_options(run).used
    for line in banner(used.fault, FAULTS):
        click.echo(line)
    science = planted(healthy(used), used.fault, FAULTS)
    parts = science.parts(read_cells_of(used, click.echo), used.seed)
    prepared = read(data_of(replace(used, out=run)), parts, science)
    signature = known_signature(parts.train, science)
    model = _restored(path, build(parts.train, signature, used, science))
    estimator = settle(model, science.emitted, signature, prepared.val, used.members)
    unseen = to_judge_by(parts, signature, used, science, config.n_test, config.seed)
    judged = judge(estimator, replace(prepared, test=unseen), parts, used, science, began)
    out = config.out or run / "test"
    out.mkdir(parents=True, exist_ok=True)
    write_report(out, judged, parts.train.types)
    write_metrics(out / "metrics.json", judged.outcome)
    lines = [f"{path}: {config.n_test} mixtures", *score_lines(judged.outcome), judged.verdict]
    write_whole(out / "test_summary.txt", ("\n".join(lines) + "\n").encode())
    click.echo("\n".join(lines))
    return DONE


def _chosen(config: TestConfig) -> Path:
    """The checkpoint that was asked for."""
    if config.checkpoint is not None and not config.auto:
        if not config.checkpoint.is_file():
            raise Refused(f"there is no checkpoint {config.checkpoint}")
        return config.checkpoint
    if not config.auto or config.checkpoint is not None:
        raise click.UsageError("say either --checkpoint PATH or --auto")
    runs = sorted(
        (path.parent for pattern in ("options.json", "*/options.json") for path in Path().glob(pattern)),
        key=lambda run: (run / "options.json").stat().st_mtime,
    )
    found = [run for run in runs if config.experiment in {None, read_options(run).used.experiment_name}]
    trained = [run for run in found if (run / "checkpoints/last.ckpt").is_file()]
    if not trained:
        named = "" if config.experiment is None else f" named {config.experiment!r}"
        raise Refused(
            f"no run{named} with checkpoints/last.ckpt here or in a directory of {Path.cwd()}; say --checkpoint"
        )
    return _best(trained[-1] / "checkpoints")


def _best(directory: Path) -> Path:
    """The checkpoint with the least validation error, as the newest one remembers."""
    states = _load(directory / "last.ckpt")["callbacks"]
    names = [state["best_model_path"] for state in states.values() if state.get("best_model_path")]
    best = directory / Path(names[0]).name if names else directory / "last.ckpt"
    if not best.is_file():
        raise Refused(f"{best} is gone, the best checkpoint that last.ckpt remembers; say --checkpoint")
    return best


def _restored(path: Path, model: Deconvolution) -> Deconvolution:
    """The weights of a checkpoint."""
    state = {name.removeprefix("model."): tensor for name, tensor in _load(path)["state_dict"].items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise Refused(f"{path} is of a model of other sizes than options.json beside it says: {error}") from error
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise Refused(f"{path}: {bad[0]} is not finite; nothing can be judged by it")
    return model.eval()


def _load(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, ValueError, EOFError, UnpicklingError) as error:
        raise Refused(f"{path} is no checkpoint of Lightning, or damaged: {error}") from error
    if not {"state_dict", "callbacks"} <= set(found):
        raise Refused(f"{path} is no checkpoint of Lightning: it has {', '.join(map(str, found))}")
    return found
