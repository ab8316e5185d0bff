"""`doctor`: the checklist before, during and after a run, made by somebody whom no fault was planted in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from evenkeel_recipes.deconvolution.commands.audit import of_parts
from evenkeel_recipes.deconvolution.commands.check_data import of_directory
from evenkeel_recipes.deconvolution.commands.monitor import logged, metrics_of
from evenkeel_recipes.deconvolution.config import DoctorConfig
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.judging.keep import Kept, read_kept
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.deconvolution.training.options import dropped, read_options
from evenkeel_recipes.kit.checklist import Check, Grade, checked, later, noted, refusals_too, shortened, told
from evenkeel_recipes.kit.faults import planted
from evenkeel_recipes.kit.files import read_array, read_json
from evenkeel_recipes.kit.refusal import DONE, REFUSED

TERMS = ("sc/loss_recon", "sc/loss_kl", "sc/loss_proto", "bulk/loss_prop", "bulk/loss_recon")
DROWNS = 1e4  # so many times the next largest term
ALIKE = 0.2  # logarithm: types whose cells hold nearly the same
LEAST_USED = 0.2  # of the measured range of the logarithm of the mRNA content
VARIES = 1e-3  # least deviation, over samples, of an estimate of the type that varies most


def doctor(config: DoctorConfig) -> int:
    """Print a line a check; status 4 where one fails.

    Raises:
        Refused: there is no run.
    """
    run = config.run
    used = read_options(run).used
    data = used.data_dir or run / "data"
    checks = [
        *refusals_too("options", before(run)),
        *of_parts(planted(healthy(used), used.fault, FAULTS)),
        *shortened("samples", refusals_too("samples", of_directory(data))),
        *refusals_too("training", during(run)),
        *refusals_too("result", after(run, data)),
    ]
    for line in told(checks):
        click.echo(line)
    return REFUSED if any(check.grade is Grade.FAIL for check in checks) else DONE


def before(run: Path) -> Iterator[Check]:
    """Whether each option counts."""
    lost = dropped(read_options(run))
    yield checked("every option counts", f"given and not used: {'; '.join(lost)}" if lost else "")


def during(run: Path) -> Iterator[Check]:
    """Whether training is finite and gets somewhere."""
    incidents = [path for path in sorted(run.glob("evenkeel/*/incident.json")) if _is_of_this_run(path, run)]
    yield checked("no incident", f"training stopped at a bad number: see {incidents[0].parent}" if incidents else "")
    name = read_options(run).used.experiment_name
    path = metrics_of(run, name)
    if path is None or not _is_of_this_run(path, run):
        yield later("losses", "the first epoch has not ended")
        return
    table = logged(path)
    bad = [column for column in table if not np.isfinite(table[column].to_numpy(dtype=np.float64)).all()]
    yield checked("losses are finite", f"{path}: not in all epochs: {', '.join(bad)}" if bad else "")
    largest = table[list(TERMS)].iloc[0].abs().sort_values(ascending=False)
    drowned = largest.iloc[0] > DROWNS * largest.iloc[1]
    words = f"in the first epoch {largest.index[0]} is {largest.iloc[0]:.3g}, {largest.index[1]} {largest.iloc[1]:.3g}"
    yield checked("no term drowns the others", f"{words}: two scales in one loss?" if drowned else "")
    losses = table["sc/loss_recon"].to_numpy(dtype=np.float64)  # unlike the total, it has one weight in all epochs
    rises = len(losses) > 1 and not losses[-1] < losses[0]
    yield checked("cells are reconstructed better", f"from {losses[0]:.4g} to {losses[-1]:.4g}" if rises else "")


def after(run: Path, data: Path) -> Iterator[Check]:
    """Whether the result can be used, and is better than what costs nothing."""
    if not _is_of_this_run(run / "model.json", run):
        yield later("result", "no model.json yet")
        return
    kept = read_kept(run / "model.json")
    yield checked("model is finite and whole", "")
    content = read_json(data / "simulation_summary.json")["counts_of_a_cell"]
    yield checked("mRNA content counts", _unused(content, kept))
    spread = float(read_array(run / "props_test_pred.npy").std(0).max())
    same = f"estimates of different samples differ by {spread:.2g}: the networks say the same of every sample"
    yield checked("estimates vary", same if spread < VARIES else "")
    yield _beside_baselines(read_json(run / "metrics.json"))


def _beside_baselines(metrics: Mapping[str, Any]) -> Check:
    """Losing on one set of cells alone can be right: what is odd about few cells is in all their samples."""
    what, name = "better than every baseline", metrics["headline"]
    own = metrics["model"][name]
    other, best = min(((key, scores[name]) for key, scores in metrics["baselines"].items()), key=lambda pair: pair[1])
    if own < best:
        return checked(what, "")
    worse = f"{name} is {own:.4g}, that of {other} {best:.4g}"
    elsewhere = dict(metrics["population"].get("mae_of_validation", {}))
    model = elsewhere.pop("model", np.inf)
    if model < min(elsewhere.values(), default=-np.inf):
        best = min(elsewhere.values())
        return noted(what, f"{worse}, but on samples of other cells {model:.4g} beside {best:.4g} of the best")
    return checked(what, f"{worse}: nothing was learned that it does not know")


def _unused(content: Mapping[str, float], kept: Kept) -> str:
    """Types of different mRNA content must not be taken for alike: fractions of cells are no shares of mRNA."""
    measured, used = (
        float(np.ptp(np.log(values))) for values in (list(content.values()), kept.estimator.signature.content)
    )
    if measured < ALIKE or used > LEAST_USED * measured:
        return ""
    return f"types differ {np.exp(measured):.2g}-fold in the counts of a cell, {np.exp(used):.2g}-fold in the signature"


def _is_of_this_run(path: Path, run: Path) -> bool:
    """Whether it was written since the run last began, which is when it wrote its options."""
    return path.is_file() and path.stat().st_mtime >= (run / "options.json").stat().st_mtime
