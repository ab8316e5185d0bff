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
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.page import as_png
from evenkeel_recipes.kit.refusal import DONE, Refused

CURVES = {
    "total_loss": ("train_loss", "val_loss"),
    "single-cell_losses": ("sc/loss_recon", "sc/loss_kl", "sc/loss_proto"),
    "bulk_losses": ("bulk/loss_prop", "bulk/loss_recon"),
    "validation": ("val_metrics/prop_mae", "val_metrics/prop_ccc"),
}
RECENT = 5  # epochs that a trend is read from


def monitor(config: MonitorConfig) -> int:
    """Write plots and a summary, once, or every `interval` seconds until interrupted.

    Raises:
        Refused: there is no run.
    """
    _once(config)
    while config.watch:
        time.sleep(config.interval)
        _once(config)
    return DONE


def _once(config: MonitorConfig) -> None:
    table = newest_metrics(config.run)
    goal = config.output_dir or config.run / "monitor"
    goal.mkdir(parents=True, exist_ok=True)
    for name, columns in CURVES.items():
        write_whole(goal / f"{name}.png", as_png(_curves(table, columns)))
    lines = list(summary(table))
    write_whole(goal / "training_summary.txt", ("\n".join(lines) + "\n").encode())
    click.echo("\n".join(lines))


def newest_metrics(run: Path) -> pd.DataFrame:
    """What the newest training of a run has logged: a row an epoch, a column a quantity.

    Raises:
        Refused: nothing has been logged there.
    """
    found = sorted(run.glob("logs/*-csv/version_*/metrics.csv"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise Refused(
            f"{run} has no logs/*-csv/version_*/metrics.csv: not the directory of a run, or its first epoch lasts"
        )
    return pd.read_csv(found[-1]).groupby("epoch").last()


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
