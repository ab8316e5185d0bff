"""The virtual cell recipe: held-out conditions of a real screen over seeds, and what training and sampling cost.

python bench/recipes_virtual_cell.py norman --data FILE.h5ad [--seeds 0 1 2 3 4]
python bench/recipes_virtual_cell.py speed [--epochs 5]
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

import torch

from evenkeel_recipes.kit.outcome import peak_memory
from evenkeel_recipes.virtual_cell.config import RunConfig
from evenkeel_recipes.virtual_cell.healthy import HEALTHY
from evenkeel_recipes.virtual_cell.run import model_of, run, split_of, train, trained_of
from evenkeel_recipes.virtual_cell.sampling import How, begin, flowed, log_means, sampled
from evenkeel_recipes.virtual_cell.simulate import simulate
from evenkeel_recipes.virtual_cell.watching import Material

COMBINATIONS = (
    "BPGM+SAMD1", "CBL+CNN1", "CEBPE+RUNX1T1", "CNN1+MAPK1", "FOXL2+HOXB9", "KLF1+MAP2K6", "KLF1+TGFBR2",
    "MAP2K3+MAP2K6", "MAP2K3+SLC38A2", "MAPK1+TGFBR2", "PTPN12+PTPN9", "SAMD1+PTPN12", "SET+KLF1", "SGK1+TBX3",
    "ZBTB10+PTPN12",
)  # fmt: skip
CONTEXTS = ("MAP4K3@A172", "SGK1@T98G", "TGFBR2@U87MG")
METRICS = ("pearson_delta", "r2", "rmse", "de_overlap", "energy_distance", "mmd")
EPOCHS = 50  # that the promises are about
REPEATS = 5


def norman(data: Path, seeds: list[int], out: Path) -> None:
    """All combinations and three conditions of a cell line held out, for each seed; the means and their spread."""
    for seed in seeds:
        config = RunConfig(data=data, out=out / f"seed{seed}", holdout=(*COMBINATIONS, *CONTEXTS), seed=seed)
        if not (config.out / "metrics.json").is_file():
            run(config)
    table(sorted(out.glob("seed*/metrics.json")))


def table(paths: list[Path]) -> None:
    """One line a metric and kind: the model, the best baseline, and what halves of the data agree on."""
    told = [json.loads(path.read_text()) for path in paths]
    for kind in sorted(told[0]["population"]["kinds"]):
        for metric in METRICS:
            name = f"{metric}@{kind}"
            simple = [t["baselines"]["additive_or_mean_shift"][name] for t in told]
            halves = [t["population"]["split_halves"][name] for t in told]
            alone = [t["population"]["flow_alone"][name] for t in told]
            print(f"{name:34s} model {spread([t['model'][name] for t in told])}  flow alone {spread(alone)}  "
                  f"no change {spread([t['baselines']['no_change'][name] for t in told])}  "
                  f"additive/mean shift {spread(simple)}  halves {spread(halves)}")  # fmt: skip


def spread(values: list[float | None]) -> str:
    """Mean and standard deviation over the seeds that have it."""
    found = [value for value in values if value is not None]
    if not found:
        return "undefined"
    counted = "" if len(found) == len(values) else f" ({len(found)} of {len(values)})"
    return f"{statistics.mean(found):.4f} ± {statistics.stdev(found) if len(found) > 1 else 0:.4f}{counted}"


def speed(epochs: int) -> None:
    """10,000 cells, 2,000 genes, batch 64: the fastest epoch of each stage times 50, and 10,000 cells generated."""
    study, _ = simulate(0, n_genes=2000, cells_each=278)
    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(out=Path(folder), epochs_vae=epochs, epochs_flow=epochs, epochs_joint=0, schedule="constant")
        split = split_of(study, replace(config, split="random"))
        rows = torch.randperm(len(study))[:10_000].sort().values.numpy()
        material = Material(study, replace(split, train=rows), config)
        model = model_of(material, HEALTHY)
        history = train(model, material)
        trained = trained_of(model, Material(study, split, replace(config, anchor="none")))
    for stage in ("vae", "flow"):
        for clock in ("seconds", "cpu_seconds"):  # on a busy machine the second is what an idle one would take
            fastest = min(float(str(record[clock])) for record in history if record["stage"] == stage)
            print(f"{stage}: fastest epoch {fastest:.2f} {clock}, so {EPOCHS} epochs {EPOCHS * fastest / 60:.2f} min")
    for what, seconds in sampling(trained).items():
        print(f"10,000 cells at 20 evaluations, {what}: {seconds:.2f} s")
    print(f"threads {torch.get_num_threads()}, peak memory {peak_memory() / 1e6:.0f} MB")


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
    parser.add_argument("what", choices=("norman", "speed"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("evenkeel-runs/virtual-cell-norman"))
    args = parser.parse_args()
    if args.what == "speed":
        speed(args.epochs)
    elif args.data is None or not args.data.is_file():
        print("norman: skipped, --data names no file")
    else:
        norman(args.data, args.seeds, args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
