"""`simulate`: the pseudo-bulk samples of a run, written without training."""

from __future__ import annotations

import click
import yaml

from evenkeel_recipes.deconvolution.config import SimulateConfig
from evenkeel_recipes.deconvolution.data.cells import read_cells_of
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.samples import simulate
from evenkeel_recipes.deconvolution.training.stored import options_of, write
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.faults import banner, planted
from evenkeel_recipes.kit.refusal import DONE, Refused


def draw_samples(config: SimulateConfig) -> int:
    """Write samples, totals, proportions, their manifest and summary, and `run.yaml` to go on from.

    Raises:
        Refused: samples are there already, and --force was not said.
    """
    if (config.out / "manifest.json").is_file() and not config.force:
        raise Refused(f"{config.out} holds samples already; --force overwrites them, or name another --out")
    for line in banner(config.fault, FAULTS):
        click.echo(line)
    science = planted(healthy(), config.fault, FAULTS)
    reference = read_cells_of(config, click.echo)
    parts = science.parts(reference, config.seed)
    click.echo(f"Normalizing bulk data (target_sum=1e4, log1p)... {config.n_train:,} training samples")
    prepared = simulate(parts, config, science)
    write(config.out, prepared, parts, config)
    science.stored(config.out)
    view = prepared.train.view
    click.echo(
        f"bulk range {view.min():.2f} to {view.max():.2f}, mean {view.mean():.2f}; no {parts.unit} is in two splits"
    )
    options = {"data_dir": str(config.out), **options_of(config)}
    write_whole(config.out / "run.yaml", yaml.safe_dump(options, sort_keys=False).encode())
    click.echo(f"train on them: evenkeel recipes run deconvolution --config {config.out / 'run.yaml'}")
    return DONE
