"""Lets variants of one training take turns, round by round, and compares what they took."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from paired import Ratio, paired_ratio
from rivals import DEBUG, LIGHTNING, LIGHTNING_ANOMALY, MSPROBE, RivalFailedError
from variants import ANOMALY, BARE, CHECKS, EVENKEEL, TWIN, Variant

CLOSELY = (BARE, TWIN, EVENKEEL)  # measured in every round; the others now and then


@dataclass(frozen=True)
class Comparison:
    """One variant beside another one of the same round."""

    label: str
    variant: str
    beside: str = BARE


COMPARISONS = (
    Comparison(TWIN, TWIN),
    Comparison(EVENKEEL, EVENKEEL),
    Comparison(CHECKS, CHECKS),
    Comparison(ANOMALY, ANOMALY),
    Comparison(DEBUG, DEBUG),
    Comparison(LIGHTNING, LIGHTNING),
    Comparison(LIGHTNING_ANOMALY, LIGHTNING_ANOMALY),
    Comparison("the same, to Lightning", LIGHTNING_ANOMALY, LIGHTNING),
    Comparison(MSPROBE, MSPROBE),
)


@dataclass(frozen=True)
class Plan:
    """How long to measure one training."""

    num_steps: int  # of a block; a check made every so many steps is felt in each block that is not shorter
    num_rival_steps: int
    seconds: float  # for `CLOSELY`
    rival_seconds: float
    fewest_rounds: int
    most_rounds: int

    def goes_on(self, num_rounds: int, spent: float) -> bool:
        """Whether another round follows when so many took so many seconds, the other tools not counted."""
        return num_rounds < self.fewest_rounds or (num_rounds < self.most_rounds and spent < self.seconds)

    def has_rivals(self, spent: float, rival_spent: float) -> bool:
        """Whether the other tools join in: they get their share of the time evenly over the rounds."""
        return rival_spent * self.seconds <= spent * self.rival_seconds


FULL = Plan(num_steps=10, num_rival_steps=3, seconds=30.0, rival_seconds=8.0, fewest_rounds=6, most_rounds=150)
SHORT = replace(FULL, num_steps=50, num_rival_steps=10)  # for steps of 2 ms: another's block leaves the caches cold
QUICK = Plan(num_steps=1, num_rival_steps=1, seconds=0.0, rival_seconds=0.0, fewest_rounds=2, most_rounds=2)


@dataclass
class Rounds:
    """The seconds of a step, of each variant that had its turn in a round."""

    seconds: list[dict[str, float]] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)  # why a tool could not be run

    def step_ms(self) -> float:
        """The median step of the bare loop."""
        return 1000 * statistics.median(each[BARE] for each in self.seconds)

    def ratio(self, comparison: Comparison) -> Ratio | None:
        """None where either had no turn."""
        both = [each for each in self.seconds if comparison.variant in each and comparison.beside in each]
        if not both:
            return None
        return paired_ratio([each[comparison.variant] for each in both], [each[comparison.beside] for each in both])


def take_turns(variants: Mapping[str, Variant], plan: Plan, chance: random.Random) -> Rounds:
    """Run blocks of all variants, in an order that changes from round to round.

    Those that are measured closely come one right after the other; the rest of the round follows.
    """
    rounds = Rounds()
    _play(variants, list(variants), 1, rounds.failures)  # untimed: caches fill, kernels are chosen
    others = [name for name in variants if name not in CLOSELY]
    spent = rival_spent = 0.0
    while plan.goes_on(len(rounds.seconds), spent):
        start = time.perf_counter()
        with_rivals = plan.has_rivals(spent, rival_spent)
        seconds = _play(variants, chance.sample(CLOSELY, len(CLOSELY)), plan.num_steps, rounds.failures)
        middle = time.perf_counter()
        if with_rivals:
            seconds |= _play(variants, chance.sample(others, len(others)), plan.num_rival_steps, rounds.failures)
        rounds.seconds.append(seconds)
        spent += middle - start
        rival_spent += time.perf_counter() - middle
    return rounds


def _play(
    variants: Mapping[str, Variant], order: Sequence[str], num_steps: int, failures: dict[str, str]
) -> dict[str, float]:
    """A block of each; a tool that failed is not asked again."""
    seconds = {}
    for name in order:
        if name in failures:
            continue
        try:
            seconds[name] = variants[name].block(num_steps)
        except RivalFailedError as failure:
            failures[name] = f"not measured: {failure}"
    return seconds
