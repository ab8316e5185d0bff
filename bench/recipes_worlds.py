"""The deconvolution recipe: its default run on one simulated world after another, and a test over the worlds.

    python bench/recipes_worlds.py [--seeds 20]

All test samples of a run are mixed from the cells of one donor, so they are not independent: a test over samples says
nothing about the next donor. Here each world counts once. Beside the test donor stands the validation donor (samples of
the reference's own technology), which chose the weight of the networks and nothing else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

Array = NDArray[np.float64]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    rows = np.stack([told(seed, run(seed)) for seed in range(asked.seeds)])
    print(summary("test", rows[:, 0, 0], rows[:, 0, 1]))
    print(summary("validation", rows[:, 1, 0], rows[:, 1, 1]))
    lost = rows[..., 0] >= rows[..., 1]
    print(f"lost on both: {int(lost.all(1).sum())} of {len(rows)}")
    return 0


def run(seed: int) -> Array:
    """Mean absolute errors [test, validation] x [model, the baseline that is best there]."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "evenkeel_recipes.deconvolution", "run", "--cpu", "--seed", str(seed)]
        subprocess.run([*command, "--out", out], check=True, capture_output=True)
        metrics = json.loads((Path(out) / "metrics.json").read_text())
    test = {name: scores["mae"] for name, scores in metrics["baselines"].items()}
    validation = dict(metrics["population"]["mae_of_validation"])
    own = metrics["model"]["mae"], validation.pop("model")
    return np.array([(own[0], min(test.values())), (own[1], min(validation.values()))])


def told(seed: int, errors: Array) -> Array:
    """The same, printed."""
    (test, best), (validation, best_there) = errors
    print(
        f"world {seed}: {test:.4f} beside {best:.4f}; validation {validation:.4f} beside {best_there:.4f}", flush=True
    )
    return errors


def summary(samples: str, own: Array, best: Array) -> str:
    """How often the model is better, and how sure it is that this goes on in other worlds."""
    won, p_value = int((own < best).sum()), wilcoxon(own, best).pvalue
    means = f"{own.mean():.4f} beside {best.mean():.4f}"
    return f"{samples}: {means}, better in {won} of {len(own)} worlds, Wilcoxon p over worlds {p_value:.1g}"


if __name__ == "__main__":
    sys.exit(main())
