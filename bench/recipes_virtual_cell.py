"""The virtual cell recipe: held-out conditions of a real screen, types left out of a stimulation, speed.

python bench/recipes_virtual_cell.py norman --data FILE.h5ad [--seeds 0 1 2 3 4] [--only means|cells]
python bench/recipes_virtual_cell.py stimulation [--data pbmc68k_reduced.h5ad] [--seeds 0 1 2] [--only means|cells]
python bench/recipes_virtual_cell.py speed [--epochs 5] [--device cuda]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch

from evenkeel_recipes.kit.outcome import peak_memory
from evenkeel_recipes.virtual_cell.cells.chosen import split_of, study_of
from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.simulate import simulate
from evenkeel_recipes.virtual_cell.cells.split import split_study, wanted_of
from evenkeel_recipes.virtual_cell.cells.stimulation import PLANS, Base, base_of_file, simulated_base, stimulated
from evenkeel_recipes.virtual_cell.commands.run import run, trained_of
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.generating.sampling import How, begin, flowed, log_means, sampled
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.judging.scores import TOP
from evenkeel_recipes.virtual_cell.means.baselines import shifts
from evenkeel_recipes.virtual_cell.means.contexts import elsewhere
from evenkeel_recipes.virtual_cell.means.means import fit_means
from evenkeel_recipes.virtual_cell.means.profiles import log_cp10k, profiles_of
from evenkeel_recipes.virtual_cell.training.course import model_of, train
from evenkeel_recipes.virtual_cell.training.devices import device_of, peaks_on
from evenkeel_recipes.virtual_cell.training.material import Material
from evenkeel_recipes.virtual_cell.training.ranks import Ranks

COMBINATIONS = (
    "BPGM+SAMD1", "CBL+CNN1", "CEBPE+RUNX1T1", "CNN1+MAPK1", "FOXL2+HOXB9", "KLF1+MAP2K6", "KLF1+TGFBR2",
    "MAP2K3+MAP2K6", "MAP2K3+SLC38A2", "MAPK1+TGFBR2", "PTPN12+PTPN9", "SAMD1+PTPN12", "SET+KLF1", "SGK1+TBX3",
    "ZBTB10+PTPN12",
)  # fmt: skip
CONTEXTS = ("MAP4K3@A172", "SGK1@T98G", "TGFBR2@U87MG")
METRICS = ("pearson_delta", "r2", "rmse", "de_overlap", "energy_distance", "mmd")
MEANS_METRICS = ("pearson_delta", "r2", "rmse")
SHOWN = ("no_change", "mean_shift", "scaled", "effects")
CELLS_OF_SMALLEST = 40  # control cells of the smallest type, and as many stimulated; the largest has 12 times as many
EPOCHS = 50  # that the promises are about
REPEATS = 5


def norman(data: Path, seeds: list[int], out: Path) -> None:
    """All combinations and three conditions of a cell line held out, for each seed; the means and their spread."""
    for seed in seeds:
        config = RunConfig(data=data, out=out / f"seed{seed}", holdout=(*COMBINATIONS, *CONTEXTS), seed=seed)
        if not (config.out / "metrics.json").is_file():
            run(config)
    table(sorted(out.glob("seed*/metrics.json")))


def norman_genes(data: Path, seeds: list[int]) -> None:
    """Overlap of the 50 most changed genes, by what needs no training: which ranking of genes finds them."""
    found: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        config = RunConfig(data=data, holdout=(*COMBINATIONS, *CONTEXTS), seed=seed)
        study = study_of(config)
        split = split_of(study, config)
        profiles, codes = profiles_of(study, split.learnt), study.codes.astype(float)
        means = fit_means(profiles, codes, study.control, np.eye(codes.shape[1]), len(study.vocabulary.cell_types))
        for held in split.held_out:
            told = {name: shift for name, shift in shifts(
                profiles, codes, study.control, held.treatment, held.cell_type
            ).items() if name == "additive" and shift is not None}  # fmt: skip
            treated, untreated = (np.maximum(m, 0)[:-1] for m in means.predict(codes[held.treatment], held.cell_type))
            measured_before = profiles.mean[profiles.find(study.control, held.cell_type), :-1]
            told |= {
                "means": treated - untreated,
                "noise of controls": untreated - measured_before,
                "standard deviation": np.sqrt(profiles.variance[:-1]),
            }
            controls = split.controls[study.cell_type[split.controls] == held.cell_type]
            true = (mean_of(study, held.cells) - mean_of(study, controls))[:-1]
            found.setdefault(held.kind, []).append({name: overlap(effect, true) for name, effect in told.items()})
    for kind in sorted(found):
        names = set.intersection(*(set(row) for row in found[kind]))
        told = (f"{name} {np.mean([row[name] for row in found[kind]]):.3f}" for name in sorted(names))
        print(f"de_overlap@{kind}".ljust(34) + "  ".join(told))


def overlap(effect: np.ndarray, true: np.ndarray) -> float:
    """Share of the 50 genes with the largest true effects that are among the 50 with the largest predicted ones."""
    said, most = (set(np.argsort(-np.abs(values))[:TOP].tolist()) for values in (effect, true))
    return len(said & most) / TOP


def table(paths: list[Path]) -> None:
    """One line a metric and kind: the model, the best baseline, and what halves of the data agree on."""
    told = [json.loads(path.read_text()) for path in paths]
    for kind in sorted(told[0]["population"]["kinds"]):
        for metric in METRICS:
            print(f"{metric}@{kind}".ljust(34) + " " + beside(told, f"{metric}@{kind}"))


def beside(told: list[dict], name: str) -> str:
    """A score of the model, of what is simpler, and of halves of the data: mean and standard deviation over runs."""
    simple, still = ([t["baselines"][who][name] for t in told] for who in ("additive_or_mean_shift", "no_change"))
    alone, halves = ([t["population"][what][name] for t in told] for what in ("flow_alone", "split_halves"))
    return (
        f"model {spread([t['model'][name] for t in told])}  flow alone {spread(alone)}  no change {spread(still)}  "
        f"additive/mean shift {spread(simple)}  halves {spread(halves)}"
    )


def spread(values: list[float | None]) -> str:
    """Mean and standard deviation over the seeds that have it."""
    found = [value for value in values if value is not None]
    if not found:
        return "undefined"
    counted = "" if len(found) == len(values) else f" ({len(found)} of {len(values)})"
    return f"{statistics.mean(found):.4f} ± {statistics.stdev(found) if len(found) > 1 else 0:.4f}{counted}"


def stimulation(data: Path | None, seeds: list[int], only: str | None, out: Path) -> None:
    """Planted stimulations of eight types, each left out in turn: means without training; cells with, for some."""
    for plan in PLANS:
        studies = [(seed, stimulated(plan, base(data, seed), CELLS_OF_SMALLEST, seed)[0]) for seed in seeds]
        if only in {None, "means"}:
            found = [left_out(study, kind, seed) for seed, study in studies for kind in study.vocabulary.cell_types]
            for metric in MEANS_METRICS:
                told = "  ".join(f"{name} {np.mean([row[name][metric] for row in found]):.4f}" for name in found[0])
                print(f"{plan.name:14s} {metric:13s} {told}", flush=True)
            better = sum(row["model"]["rmse"] <= row["mean_shift"]["rmse"] for row in found)
            print(f"{plan.name:14s} the model has a lower RMSE than the mean shift in {better} of {len(found)} types")
        if only in {None, "cells"}:
            told = [whole_run(study, seed, out / plan.name.replace(" ", "-")) for seed, study in studies]
            for metric in METRICS:
                print(f"{plan.name:14s} {metric:16s} " + beside(told, metric), flush=True)


def base(data: Path | None, seed: int) -> Base:
    """Real profiles where there is a file; else simulated ones, for each seed others."""
    return simulated_base(2000, seed) if data is None else base_of_file(data)


def left_out(study: Study, kind: str, seed: int) -> dict[str, dict[str, float]]:
    """Scores of means in one type without its stimulated cells: ours, what it consists of, simpler ones, halves."""
    split = split_study(study, wanted_of(study, (f"stim@{kind}",), None, seed), at_random=False, seed=seed)
    held = split.held_out[0]
    profiles = profiles_of(study, split.learnt)
    means = fit_means(profiles, study.codes.astype(float), study.control, np.eye(1), len(study.vocabulary.cell_types))
    code = study.codes[held.treatment].astype(float)
    model, untreated = means.predict(code, held.cell_type)
    own = profiles.mean[profiles.find(study.control, held.cell_type)]
    found = {name: (mean, own) for name, mean in means.known.told(code, held.cell_type).items() if name in SHOWN}
    others = elsewhere(profiles, study.control, held.treatment, held.cell_type)
    number = profiles.number[(profiles.treatment == held.treatment)]
    by_cells = np.average(others.after - others.before, axis=0, weights=number)
    found |= {"shift by cells": (own + np.append(by_cells, 0), own), "model": (model, untreated)}
    controls = split.controls[study.cell_type[split.controls] == held.cell_type]
    measured = mean_of(study, held.cells), mean_of(study, controls)
    halves = [(mean_of(study, held.cells[half::2]), mean_of(study, controls[half::2])) for half in (0, 1)]
    return {
        **{name: of_means(*pair, *measured) for name, pair in found.items()},
        "halves": of_means(*halves[0], *halves[1]),
    }


def mean_of(study: Study, rows: np.ndarray) -> np.ndarray:
    """Mean log1p counts per 10,000, and a place for the depth."""
    return np.append(np.asarray(log_cp10k(study.counts[rows]).mean(0)).ravel(), 0)


def of_means(
    mean: np.ndarray, before: np.ndarray, measured: np.ndarray, measured_before: np.ndarray
) -> dict[str, float]:
    """Pearson correlation of effects, R² and RMSE of means, without the depth."""
    effect, true = (mean - before)[:-1], (measured - measured_before)[:-1]
    error, level = (mean - measured)[:-1], measured[:-1]
    return {
        "pearson_delta": float(np.corrcoef(effect, true)[0, 1]) if effect.any() else float("nan"),
        "r2": float(1 - (error**2).sum() / ((level - level.mean()) ** 2).sum()),
        "rmse": float(np.sqrt((error**2).mean())),
    }


def whole_run(study: Study, seed: int, out: Path) -> dict:
    """The recipe as a user runs it, for the type whose turn it is with this seed; what metrics.json says."""
    words = study.vocabulary
    kind = words.cell_types[(3 * seed + 5) % len(words.cell_types)]
    config = RunConfig(data=out / f"seed{seed}.h5ad", out=out / f"seed{seed}", holdout=(f"stim@{kind}",), seed=seed)
    if not (config.out / "metrics.json").is_file():
        out.mkdir(parents=True, exist_ok=True)
        named = {
            "perturbation": [words.name(study.treatments[row]) for row in study.treatment],
            "batch": np.array(words.batches)[study.batch],
            "cell_type": np.array(words.cell_types)[study.cell_type],
        }
        obs, var = pd.DataFrame(named, index=study.names), pd.DataFrame(index=list(words.genes))
        anndata.AnnData(X=study.counts, obs=obs, var=var).write_h5ad(config.data)
        run(config)
    return json.loads((config.out / "metrics.json").read_text())


def speed(epochs: int, asked: str) -> None:
    """10,000 cells, 2,000 genes, batch 64: the fastest epoch of each stage times 50, and 10,000 cells generated.

    Stages on the device asked for; cells are generated by the CPU.
    """
    device = device_of(asked, Ranks())
    study, _ = simulate(0, n_genes=2000, cells_each=278)
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(out=Path(folder), epochs_vae=epochs, epochs_flow=epochs, epochs_joint=0, schedule="constant")
        split = split_of(study, replace(config, split="random"))
        rows = torch.randperm(len(study))[:10_000].sort()[0].numpy()
        material = Material(study, replace(split, train=rows), config, device=device)
        model = model_of(material, HEALTHY)
        history = train(model, material)
        trained = trained_of(model, Material(study, split, replace(config, anchor="none")))
    for stage in ("vae", "flow"):
        for clock in ("seconds", "cpu_seconds"):  # on a busy machine the second is what an idle one would take
            fastest = min(float(str(record[clock])) for record in history if record["stage"] == stage)
            print(f"{stage}: fastest epoch {fastest:.2f} {clock}, so {EPOCHS} epochs {EPOCHS * fastest / 60:.2f} min")
    for what, seconds in sampling(trained).items():
        print(f"10,000 cells at 20 evaluations, {what}: {seconds:.2f} s")
    print(f"{device}, threads {torch.get_num_threads()}, peak memory {peak_memory() / 1e6:.0f} MB, {peaks_on(device)}")


def sampling(trained) -> dict[str, float]:
    """Seconds for 10,000 cells, the fastest of five."""
    how, found = How(), {"means": 1e9, "counts": 1e9, "means, cpu": 1e9, "counts, cpu": 1e9}
    for _ in range(REPEATS):
        began, cpu = time.perf_counter(), time.process_time()
        start = begin(trained.bank, trained.bank.pick(0, None, 10_000, torch.Generator()), how, 0)
        z = flowed(trained.model, start, torch.eye(6)[0], how)
        log_mean = log_means(trained.model, z, start, 0.0, None)
        log_mean.exp()
        found["means"] = min(found["means"], time.perf_counter() - began)
        found["means, cpu"] = min(found["means, cpu"], time.process_time() - cpu)
        sampled(trained.model, log_mean, start.batch, 0)
        found["counts"] = min(found["counts"], time.perf_counter() - began)
        found["counts, cpu"] = min(found["counts, cpu"], time.process_time() - cpu)
    return found


def main() -> int:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("norman", "stimulation", "speed"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=None, help="default: 0 to 4 (norman), 0 to 2")
    parser.add_argument("--only", choices=("means", "cells"))
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.epochs, args.device)
    elif args.what == "stimulation":
        out = args.out or Path("evenkeel-runs/virtual-cell-stimulation")
        stimulation(args.data, args.seeds or [0, 1, 2], args.only, out)
    elif args.data is None or not args.data.is_file():
        print("norman: skipped, --data names no file")
    else:
        seeds = args.seeds or [0, 1, 2, 3, 4]
        if args.only in {None, "means"}:
            norman_genes(args.data, seeds)
        if args.only in {None, "cells"}:
            norman(args.data, seeds, args.out or Path("evenkeel-runs/virtual-cell-norman"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
