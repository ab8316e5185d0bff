"""A run, seen from another terminal: its curves so far, whether they are finite, where they go."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from evenkeel_recipes.deconvolution.config import MonitorConfig
from evenkeel_recipes.deconvolution.training.options import read_options
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.files import read_array
from evenkeel_recipes.kit.page import as_png
from evenkeel_recipes.kit.refusal import DONE, Refused

SCORE = "val_metrics/prop_mae"
CURVES = {
    "total_loss": ("train_loss", "val_loss"),
    "single-cell_losses": ("sc/loss_recon", "sc/loss_kl", "sc/loss_proto"),
    "bulk_losses": ("bulk/loss_prop", "bulk/loss_recon"),
    "latent_metrics": ("metrics/mu_mean", "metrics/mu_std", "metrics/logvar_mean", "metrics/S_norm"),
    "validation": (SCORE, "val_metrics/prop_ccc"),
    "health": ("health/grad_norm", "health/clip_share"),
}
RECENT = 5  # epochs that a trend is read from


def monitor(config: MonitorConfig) -> int:
    """Write plots, a summary and a table, once, or every `interval` seconds until interrupted.

    Raises:
        Refused: there is no run, or its first epoch lasts.
    """
    _once(config)
    while config.watch:
        time.sleep(config.interval)
        _once(config)
    return DONE


def _once(config: MonitorConfig) -> None:
    used = read_options(config.run).used
    path = metrics_of(config.run, used.experiment_name)
    if path is None:
        raise Refused(
            f"{config.run}/logs has no {used.experiment_name}-csv/version_*/metrics.csv: its first epoch lasts"
        )
    table = logged(path)
    goal = config.output_dir or config.run / "monitor"
    goal.mkdir(parents=True, exist_ok=True)
    for name, columns in CURVES.items():
        write_whole(goal / f"{name}.png", as_png(_curves(table, columns)))
    write_whole(goal / "metrics_comparison.csv", compared(table).to_csv().encode())
    lines = [*summary(table), *_beside(table, used.data_dir or config.run / "data")]
    final = metrics_of(config.run, f"{used.experiment_name}-final")
    if final is not None and final.stat().st_mtime > path.stat().st_mtime:
        lines.append(f"then, on all cells: epochs: {len(logged(final))}")
    write_whole(goal / "training_summary.txt", ("\n".join(lines) + "\n").encode())
    click.echo("\n".join(lines))


def metrics_of(run: Path, name: str) -> Path | None:
    """The newest log of the training of that name; None where nothing has been logged."""
    found = run.glob(f"logs/{name}-csv/version_*/metrics.csv")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def logged(path: Path) -> pd.DataFrame:
    """A log: a row an epoch, a column a quantity."""
    return pd.read_csv(path).groupby("epoch").last()


def compared(table: pd.DataFrame) -> pd.DataFrame:
    """A row a quantity: its first and last value, its least and largest, and how many epochs are not finite."""
    values = table[[column for columns in CURVES.values() for column in columns if column in table]]
    return pd.DataFrame(
        {
            "first": values.iloc[0],
            "last": values.iloc[-1],
            "least": values.min(),
            "largest": values.max(),
            "not_finite": (~np.isfinite(values)).sum(),
        }
    ).rename_axis("quantity")


def summary(table: pd.DataFrame) -> Iterator[str]:
    """A line a quantity: its last value, whether all were finite, and its trend over the last epochs."""
    yield f"epochs: {len(table)}"
    for column in (column for columns in CURVES.values() for column in columns):
        if column not in table:
            yield f"{column}: not logged"
            continue
        values = table[column].dropna().to_numpy(dtype=np.float64)
        bad = int((~np.isfinite(values)).sum()) + int(table[column].isna().sum())
        state = "finite" if not bad else f"NOT FINITE in {bad} of {len(table)} epochs"
        yield f"{column}: {values[-1] if len(values) else 'nan'} ({state}{_trend(values)})"


def _beside(table: pd.DataFrame, data: Path) -> Iterator[str]:
    """The last validation error beside that of the likelihoods alone and of a constant."""
    if SCORE not in table:
        return
    truth, own = read_array(data / "props_val.npy"), float(table[SCORE].iloc[-1])
    likelihoods = float(np.abs(read_array(data / "estimates_val.npy").mean(1) - truth).mean())
    constant = float(np.abs(1 / truth.shape[1] - truth).mean())
    yield (
        f"{SCORE}={own:.4g} | baseline(likelihoods)={likelihoods:.4g} | baseline(constant)={constant:.4g} | "
        f"skill={1 - own / min(likelihoods, constant):.3g}"
    )


def _trend(values: np.ndarray) -> str:
    recent = values[-RECENT:]
    if len(recent) < RECENT or not np.isfinite(recent).all():
        return ""
    slope = float(np.polyfit(np.arange(len(recent)), recent, 1)[0])
    return f", {'falls' if slope < 0 else 'rises'} by {abs(slope):.2g} an epoch"


def _curves(table: pd.DataFrame, columns: Sequence[str]) -> Figure:
    figure = Figure(figsize=(6, 3.5))
    axes = figure.subplots()
    for column in columns:
        if column in table:
            axes.plot(table.index, table[column], label=column)
    axes.set(xlabel="epoch")
    axes.legend(fontsize=8)
    return figure
