"""What a run came to: `metrics.json`, and each score beside its baselines."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from evenkeel_recipes.kit.checkpoint import write_whole

Scores = Mapping[str, float | None]


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scores of a run. None stands for an undefined score, and `population` says what it was counted over."""

    headline: str
    model: Scores
    baselines: Mapping[str, Scores]
    higher_is_better: Mapping[str, bool]
    population: Mapping[str, object]
    seconds: float
    seed: int
    ceiling: Scores = field(default_factory=dict)  # what repeating the measurement would score; empty: unknown
    coverage: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # members that have the score, and all
    peak_memory_bytes: int = field(default_factory=peak_memory)

    @property
    def best_baseline(self) -> str:
        """The baseline with the best headline."""
        defined = {
            name: value for name, scores in self.baselines.items() if (value := scores.get(self.headline)) is not None
        }
        best = max if self.higher_is_better[self.headline] else min
        return best(defined, key=lambda name: defined[name])

    @property
    def skill(self) -> float | None:
        """How much better the headline is than that of the best baseline; 0: no better. None: undefined."""
        return skill(self, self.headline, self.best_baseline)


def skill(outcome: Outcome, metric: str, baseline: str) -> float | None:
    """1 - value/baseline of an error; (value - baseline)/(ceiling - baseline) of a score, with 1 for no known ceiling.

    None where either is undefined, or the baseline leaves no room.
    """
    value, beside = outcome.model.get(metric), outcome.baselines[baseline].get(metric)
    if value is None or beside is None:
        return None
    if not outcome.higher_is_better[metric]:
        return 1 - value / beside if beside else None
    room = best_possible(outcome, metric) - beside
    return (value - beside) / room if room else None


def best_possible(outcome: Outcome, metric: str) -> float:
    """The ceiling where one is known; else 0 of an error and 1 of a score, which nothing can be better than."""
    known = outcome.ceiling.get(metric)
    if known is not None:
        return known
    return 1.0 if outcome.higher_is_better[metric] else 0.0


def score_lines(outcome: Outcome) -> Iterator[str]:
    """A line a metric: value, each baseline, skill over the best of them, ceiling, and how many members have it."""
    for metric, value in outcome.model.items():
        beside = " | ".join(
            f"baseline({name})={_number(scores.get(metric))}"
            for name, scores in outcome.baselines.items()
            if metric in scores
        )
        skilled = _number(skill(outcome, metric, outcome.best_baseline))
        ceiling = _number(best_possible(outcome, metric))
        behind = outcome.coverage.get(metric)
        covered = f" | coverage={behind[0]}/{behind[1]}" if behind else ""
        yield f"{metric}={_number(value)} | {beside} | skill={skilled} | ceiling={ceiling}{covered}"


def write_metrics(path: Path, outcome: Outcome) -> None:
    """Write `metrics.json`."""
    write_whole(path, json.dumps(asdict(outcome), indent=1, allow_nan=False).encode())


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4g}"
