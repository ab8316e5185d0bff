"""What a run leaves for people: tables, plots, one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.judging.estimate import Estimated
from evenkeel_recipes.deconvolution.judging.evaluate import Compared, TypeScores
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.outcome import Outcome, score_lines
from evenkeel_recipes.kit.page import Section, as_png, write_page

Array = NDArray[np.float64]
SURE = 0.05
BARS = 20


@dataclass(frozen=True, slots=True)
class Judged:
    """A run's estimates of samples whose truth is known, and what they are worth.

    `elsewhere` has mean absolute errors on validation samples, of the "model" and of each baseline.
    """

    outcome: Outcome
    estimated: Estimated
    truth: Array
    samples: NDArray[np.str_]
    types: Sequence[TypeScores]
    compared: Sequence[Compared]
    elsewhere: Mapping[str, float]

    @property
    def beats_all(self) -> bool:
        """Whether it is better than each baseline, and surely so."""
        return all(one.gain > 0 and one.p_value is not None and one.p_value < SURE for one in self.compared)

    @property
    def verdict(self) -> str:
        """One sentence."""
        best = min(self.compared, key=lambda one: one.gain)
        p_value = "undefined" if best.p_value is None else f"{best.p_value:.1g}"
        how = f"{best.better} of {best.samples} samples better, mean gain {best.gain:.2g}, Wilcoxon p {p_value}"
        if self.beats_all:
            return f"better than every baseline; the closest is {best.baseline}: {how}"
        own, other = self.elsewhere["model"], self.elsewhere[best.baseline]
        return f"NOT better than {best.baseline}: {how}; on the validation samples {own:.4f} beside {other:.4f}"


def write_proportions(path: Path, estimated: Estimated, samples: NDArray[np.str_], types: Sequence[str]) -> None:
    """A row for each sample and type: fraction of the cells, share of the mRNA, interval, and what to beware of."""
    rows, kinds = np.repeat(np.arange(len(samples)), len(types)), np.tile(np.arange(len(types)), len(samples))
    table = pd.DataFrame(
        {
            "sample": samples[rows],
            "cell_type": np.array(types)[kinds],
            "fraction": estimated.fractions[rows, kinds],
            "mrna_share": estimated.shares[rows, kinds],
            "lower": estimated.lower[rows, kinds],
            "upper": estimated.upper[rows, kinds],
            "below_detection": estimated.lower[rows, kinds] == 0,
            "residual": estimated.deviance[rows],
            "strange": estimated.strange[rows],
        }
    )
    write_whole(path, table.to_csv(index=False).encode())


def write_signature(path: Path, signature: Signature, genes: Sequence[str], types: Sequence[str]) -> None:
    """Counts per million of each type, a row a gene; the first row is the relative mRNA content of a cell."""
    table = pd.DataFrame(1e6 * signature.composition.T, index=list(genes), columns=list(types))
    content = pd.DataFrame([signature.content], index=["mrna_content"], columns=list(types))
    write_whole(path, pd.concat([content, table]).to_csv(index_label="gene").encode())


def write_report(out: Path, judged: Judged, types: Sequence[str]) -> None:
    """The page, the tables, the plots, and the proportions of the test samples: true and estimated."""
    np.save(out / "props_test_true.npy", judged.truth)
    np.save(out / "props_test_pred.npy", judged.estimated.fractions)
    figures = list(_figures(judged, types))
    (out / "plots").mkdir(parents=True, exist_ok=True)
    for name, figure, _ in figures:
        write_whole(out / "plots" / f"{name}.png", as_png(figure))
    each_type = pd.DataFrame([_row(kind) for kind in judged.types]).to_csv(index=False)
    write_whole(out / "per_celltype_metrics.csv", each_type.encode())
    faults = judged.outcome.population["faults"]
    sections = [
        Section("Verdict", [judged.verdict, *score_lines(judged.outcome)], warning=not judged.beats_all),
        Section(
            "Beside each baseline",
            header=("baseline", "mean absolute error less by", "samples better", "Wilcoxon p"),
            rows=[
                (one.baseline, f"{one.gain:.4f}", f"{one.better} of {one.samples}", _number(one.p_value))
                for one in judged.compared
            ],
        ),
        Section(
            "Each cell type",
            header=("type", "MAE", "RMSE", "CCC", "Pearson"),
            rows=[(kind.name, *map(_number, (kind.mae, kind.rmse, kind.ccc, kind.pearson))) for kind in judged.types],
        ),
        Section("Plots", figures=[(figure, words) for _, figure, words in figures]),
        Section("Population", [f"{key}: {value}" for key, value in judged.outcome.population.items()]),
    ]
    title = "Deconvolution" + (f" with planted faults: {faults}" if faults else "")
    write_page(out / "report.html", title, sections)


def _row(kind: TypeScores) -> dict[str, object]:
    return {"type": kind.name, "mae": kind.mae, "rmse": kind.rmse, "ccc": kind.ccc, "pearson": kind.pearson}


def _figures(judged: Judged, types: Sequence[str]) -> Iterator[tuple[str, Figure, str]]:
    truth, estimated = judged.truth, judged.estimated
    yield "scatter", _scatter(truth, estimated.fractions, types), "estimated beside true fractions"
    yield (
        "per_type",
        _bars([kind.name for kind in judged.types], [kind.mae for kind in judged.types]),
        "error of each type",
    )
    residual = Figure(figsize=(6, 3.5))
    axes = residual.subplots()
    axes.hist((estimated.fractions - truth).ravel(), bins=4 * BARS)
    axes.set(xlabel="estimated - true fraction", ylabel="pairs")
    yield "residual", residual, "what is left over"
    yield "calibration", _calibration(judged), "how often intervals hold the truth"
    scores = {"model": judged.outcome.model, **judged.outcome.baselines}
    yield (
        "baselines",
        _bars(list(scores), [value["mae"] for value in scores.values()]),
        "mean absolute error beside baselines",
    )


def _scatter(truth: Array, fractions: Array, types: Sequence[str]) -> Figure:
    figure = Figure(figsize=(5, 5))
    axes = figure.subplots()
    for kind, name in enumerate(types):
        axes.plot(truth[:, kind], fractions[:, kind], ".", markersize=2, label=name)
    axes.plot([0, 1], [0, 1], color="black", linewidth=0.8)
    axes.set(xlabel="true fraction", ylabel="estimated fraction")
    axes.legend(fontsize=6, markerscale=4)
    return figure


def _bars(names: Sequence[str], values: Sequence[float | None]) -> Figure:
    figure = Figure(figsize=(6, 0.3 * len(names) + 1))
    axes = figure.subplots()
    defined = [(name, value) for name, value in zip(names, values, strict=True) if value is not None]
    axes.barh([name for name, _ in defined], [value for _, value in defined])
    axes.set(xlabel="mean absolute error")
    return figure


def _calibration(judged: Judged) -> Figure:
    """Coverage by the size of the estimate."""
    estimated, figure = judged.estimated, Figure(figsize=(6, 3.5))
    axes = figure.subplots()
    held = (estimated.lower <= judged.truth) & (judged.truth <= estimated.upper)
    edges = np.quantile(estimated.fractions, np.linspace(0, 1, 11))
    place = np.searchsorted(edges[1:-1], estimated.fractions)
    present = np.unique(place)
    axes.plot(present, [held[place == one].mean() for one in present], "o-")
    axes.axhline(0.9, color="black", linewidth=0.8)
    axes.set(xlabel="tenth of the estimates, from the least", ylabel="intervals that hold", ylim=(0, 1.02))
    return figure


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
