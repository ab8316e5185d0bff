"""The page of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evenkeel_recipes.kit.outcome import Outcome, score_lines
from evenkeel_recipes.kit.page import Section, write_page
from evenkeel_recipes.virtual_cell.judging.judge import BASELINES, Judged

SHOWN = ("pearson_delta", "r2", "rmse", "energy_distance", "mmd", "de_overlap")


def write_report(
    path: Path,
    outcome: Outcome,
    judged: Sequence[Judged],
    history: Sequence[Mapping[str, object]],
    faults: Sequence[str],
) -> None:
    """Scores beside baselines, each held-out condition, and how the losses went, where something was trained."""
    sections = [Section("Scores", list(score_lines(outcome)))]
    if faults:
        sections.insert(0, Section("Planted faults, and alarms", faults, warning=True))
    sections += [_of(metric, judged) for metric in SHOWN]
    if history:
        sections.append(Section("Training", figures=[(_losses(history), "losses of each stage over its epochs")]))
    write_page(path, "Virtual cell", sections)


def _of(metric: str, judged: Sequence[Judged]) -> Section:
    header = ["condition", "kind", "cells", "model", "flow alone", *BASELINES, "half of the data"]
    rows = [
        [one.name, one.kind, str(one.num_cells), _number(one.model[metric]), _number(one.flow_alone[metric]),
         *(_number(one.baselines.get(name, {}).get(metric)) for name in BASELINES), _number(one.halves[metric])]
        for one in judged
    ]  # fmt: skip
    return Section(metric, header=header, rows=rows)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _losses(history: Sequence[Mapping[str, object]]) -> Figure:
    stages = list(dict.fromkeys(str(record["stage"]) for record in history))
    figure = Figure(figsize=(4 * len(stages), 3))
    for axes, stage in zip(figure.subplots(1, len(stages), squeeze=False)[0], stages, strict=True):
        records = [record for record in history if record["stage"] == stage]
        for name in ("train_loss", "val_loss", "floor", "marginal_nll"):
            values = [record.get(name) for record in records]
            if all(isinstance(value, float) for value in values):
                axes.plot(range(len(values)), values, label=name)
        axes.set_title(stage)
        axes.set_xlabel("epoch")
        axes.legend(fontsize=7)
    return figure
