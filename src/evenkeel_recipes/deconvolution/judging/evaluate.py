"""How good estimates are, beside simple methods, over a stated population."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from evenkeel.metrics import Errors, Paired, Score
from evenkeel_recipes.deconvolution.data.mixtures import Signature
from evenkeel_recipes.deconvolution.judging.estimate import Estimated
from evenkeel_recipes.deconvolution.likelihoods.baselines import BASELINES
from evenkeel_recipes.kit.outcome import Outcome

Array = NDArray[np.float64]
RARE = 0.05
HIGHER_IS_BETTER = {"mae": False, "rmse": False, "ccc": True, "pearson": True, "l1": False, "rare_ccc": True}


@dataclass(frozen=True, slots=True)
class TypeScores:
    """Scores of one cell type; None where undefined, as a correlation with a constant."""

    name: str
    mae: float | None
    rmse: float | None
    ccc: float | None
    pearson: float | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Against one baseline: by how much the mean absolute error of a sample is less, and how sure that is.

    `p_value` is of a two-sided Wilcoxon signed-rank test over samples; None where no sample differs.
    """

    baseline: str
    gain: float
    better: int
    samples: int
    p_value: float | None


def scores(estimate: Array, truth: Array) -> dict[str, float | None]:
    """Over all pairs of sample and type, but `pearson` (the mean over types that vary) and `l1` (a sample)."""
    given, wanted = torch.from_numpy(estimate), torch.from_numpy(truth)
    errors, paired = Errors.of(given, wanted), Paired.of(given, wanted)
    rare = torch.from_numpy(truth < RARE)
    return {
        "mae": _defined(errors.pooled().mae()[0]),
        "rmse": _defined(errors.pooled().rmse()[0]),
        "ccc": _defined(paired.pooled().concordance()[0]),
        "pearson": _defined(paired.pearson().mean()),
        "l1": None if np.isnan(estimate).any() else float(np.abs(estimate - truth).sum(1).mean()),
        "rare_ccc": _defined(Paired.of(given, wanted, rare).pooled().concordance()[0]),
    }


def populations(estimate: Array, truth: Array) -> dict[str, tuple[int, int]]:
    """How many members have each score, of how many: pairs, types for `pearson`, samples for `l1`."""
    pairs, rare = truth.size, int((truth < RARE).sum())
    types = Paired.of(torch.from_numpy(estimate), torch.from_numpy(truth)).pearson().mean()
    return {
        **dict.fromkeys(("mae", "rmse", "ccc", "coverage90"), (pairs, pairs)),
        "pearson": (types.counted, types.total),
        "l1": (len(truth), len(truth)),
        "rare_ccc": (rare, pairs),
    }


def by_type(estimate: Array, truth: Array, types: Sequence[str]) -> list[TypeScores]:
    """The same for each type by itself."""
    given, wanted = torch.from_numpy(estimate), torch.from_numpy(truth)
    errors, paired = Errors.of(given, wanted), Paired.of(given, wanted)
    kinds = (errors.mae(), errors.rmse(), paired.concordance(), paired.pearson())
    return [TypeScores(name, *(_defined(kind[place]) for kind in kinds)) for place, name in enumerate(types)]


def coverage(estimated: Estimated, truth: Array) -> float:
    """The share of true fractions within their intervals."""
    return float(((estimated.lower <= truth) & (truth <= estimated.upper)).mean())


def baselines(bulk: Array, signature: Signature, mean_of_training: Array | None) -> dict[str, Array]:
    """What the simple methods estimate, and the mean of the training samples where there were any."""
    found = {name: estimator(bulk, signature) for name, estimator in BASELINES.items()}
    if mean_of_training is not None:
        found["training_mean"] = np.tile(mean_of_training, (len(bulk), 1))
    return found


def compare(estimate: Array, others: Mapping[str, Array], truth: Array) -> list[Compared]:
    """The estimate against each baseline, sample by sample."""
    own = np.abs(estimate - truth).mean(1)
    compared = []
    for name, other in others.items():
        gain = np.abs(other - truth).mean(1) - own
        p_value = float(wilcoxon(gain).pvalue) if (gain != 0).any() else None
        compared.append(Compared(name, float(gain.mean()), int((gain > 0).sum()), len(gain), p_value))
    return compared


def outcome(
    estimated: Estimated,
    others: Mapping[str, Array],
    truth: Array,
    seconds: float,
    seed: int,
    notes: Mapping[str, object],
) -> Outcome:
    """All scores of one set of samples."""
    own = scores(estimated.fractions, truth)
    return Outcome(
        headline="mae",
        model=own | {"coverage90": coverage(estimated, truth)},
        baselines={name: scores(other, truth) for name, other in others.items()},
        higher_is_better=HIGHER_IS_BETTER | {"coverage90": True},
        population={
            "samples": len(truth),
            "types": truth.shape[1],
            "types_that_vary": int((np.ptp(truth, axis=0) > 0).sum()),
            "undefined": [name for name, value in own.items() if value is None],
            "flagged": int(estimated.strange.sum()),
            **notes,
        },
        seconds=seconds,
        seed=seed,
        coverage=populations(estimated.fractions, truth),
    )


def _defined(score: Score) -> float | None:
    return None if math.isnan(score.value) else score.value
