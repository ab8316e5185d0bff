"""What was held out, predicted by the model and by everything simpler, and what the data themselves could agree on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from evenkeel import ops
from evenkeel.metrics import half_of
from evenkeel_recipes.virtual_cell.cells.data import Rows, Study
from evenkeel_recipes.virtual_cell.cells.split import HeldOut, Split
from evenkeel_recipes.virtual_cell.generating.generate import Asked, Cells, Trained, cells_from, latents_of
from evenkeel_recipes.virtual_cell.generating.sampling import How, sampled
from evenkeel_recipes.virtual_cell.judging.scores import (
    HIGHER_IS_BETTER,
    OF_EFFECTS,
    Seen,
    Values,
    ceiling_of,
    mean_of,
    scores,
)
from evenkeel_recipes.virtual_cell.means.baselines import shifts
from evenkeel_recipes.virtual_cell.means.profiles import Profiles, cells_for_means, log_cp10k, profiles_of

DRAWN_AGAIN = 2  # times that each generated cell is drawn once more, for means
LEAST_CEILING = 0.1  # agreement of two halves of the data below which there is no effect to predict
SIMPLE = "additive_or_mean_shift"
FALLBACKS = ("additive", "mean_shift", "mean_of_others", "no_change")
BASELINES = ("no_change", "mean_of_others", "additive", "mean_shift", "linear", SIMPLE)


@dataclass(frozen=True, slots=True)
class Judged:
    """One held-out condition.

    Attributes:
        model, baselines: scores; a baseline that has nothing to go by has none.
        halves: scores of one half of the measured cells as a prediction of the other.
        flow_alone: the same cells without the anchor.
        is_without_information: whether nothing that was trained on tells about its perturbations.
        is_below_noise: whether two halves of the measurement agree on no effect; scores of effects are then undefined.
    """

    name: str
    kind: str
    num_cells: int
    model: Values
    baselines: Mapping[str, Values]
    halves: Values
    flow_alone: Values
    is_below_noise: bool
    is_without_information: bool


@dataclass(frozen=True, slots=True)
class Judging:
    """What all conditions are judged with."""

    trained: Trained
    study: Study
    split: Split
    how: How
    num_cells: int
    seed: int


def judge(judging: Judging) -> list[Judged]:
    """Score every held-out condition.

    Raises:
        ops.NonFiniteVelocity: a velocity was not finite; the sentence names the condition and the generated cells.
    """
    study, learnt = judging.study, judging.split.learnt
    profiles, none = profiles_of(study, learnt), torch.zeros(study.codes.shape[1])
    kinds = {held.cell_type for held in judging.split.held_out}
    untreated = {kind: _generated(judging, none, kind, study.condition(study.control, kind)) for kind in kinds}
    return [_judged(judging, held, profiles, learnt, untreated[held.cell_type]) for held in judging.split.held_out]


def _judged(
    judging: Judging, held: HeldOut, profiles: Profiles, learnt: Rows, untreated: tuple[_Made, _Made]
) -> Judged:
    study, rng = judging.study, np.random.default_rng(judging.seed)
    of_type = judging.split.controls[study.cell_type[judging.split.controls] == held.cell_type]
    measured = _measured(study, held.cells, of_type, judging.num_cells, rng)
    halves = [_half(judging, held.cells, of_type, half, rng) for half in (0, 1)]
    agreement = scores(*halves)
    below = (agreement["pearson_delta"] or 0.0) < LEAST_CEILING
    controls = learnt[(study.treatment[learnt] == study.control) & (study.cell_type[learnt] == held.cell_type)]
    simple = {name: scores(seen, measured) for name, seen in _simple(judging, held, profiles, controls, rng)}
    name = study.condition(held.treatment, held.cell_type)
    made = _generated(judging, torch.from_numpy(study.codes[held.treatment]), held.cell_type, name)
    model, alone = (_against(treated, before) for treated, before in zip(made, untreated, strict=True))
    blank = dict.fromkeys(OF_EFFECTS) if below else {}
    return Judged(
        name, held.kind, len(held.cells),
        {**scores(model, measured), **blank},
        {baseline: {**found, **blank} for baseline, found in simple.items()},
        agreement,
        {**scores(alone, measured), **blank},
        below,
        _is_without_information(judging, held),
    )  # fmt: skip


@contextmanager
def generating(name: str) -> Iterator[None]:
    """A velocity that is not finite is told with the condition that was being generated."""
    try:
        yield
    except ops.NonFiniteVelocity as error:
        raise ops.NonFiniteVelocity(f"{name}: {error}") from error


def _is_without_information(judging: Judging, held: HeldOut) -> bool:
    code = torch.from_numpy(judging.study.codes[held.treatment])
    return not bool(judging.trained.model.field.is_known[: len(code)][code != 0].any())


class _Made(NamedTuple):
    """Mean of generated cells [genes], and the first of them [n, genes], in log1p counts per 10,000."""

    mean: Tensor
    cells: Tensor


def _generated(judging: Judging, code: Tensor, cell_type: int, name: str) -> tuple[_Made, _Made]:
    """Cells with the anchor and, of the same noise, without."""
    trained = judging.trained
    number = max(judging.num_cells, cells_for_means(len(trained.vocabulary.genes)))
    asked = Asked(code, cell_type, number, seed=judging.seed)
    with generating(name):
        latents = latents_of(trained, asked, judging.how)
    alone = replace(trained, anchor=None)
    cells, plain = (cells_from(recipe, asked, *latents) for recipe in (trained, alone))
    return (
        _Made(_mean_drawn(trained, cells, judging.seed, DRAWN_AGAIN), _logs(cells.counts[: judging.num_cells])),
        _Made(_mean_drawn(alone, plain, judging.seed, 0), _logs(plain.counts[: judging.num_cells])),
    )


def _against(treated: _Made, untreated: _Made) -> Seen:
    return Seen(treated.mean, treated.mean - untreated.mean, treated.cells)


def _mean_drawn(recipe: Trained, cells: Cells, seed: int, again: int) -> Tensor:
    """Mean log1p counts per 10,000 of cells, some more times drawn: what the model says, with less luck."""
    means = [_logs(cells.counts).mean(0)]
    for draw in range(again):
        counts = sampled(recipe.model, cells.mean.log(), cells.start.batch, seed + 2 + draw, cells.log_theta)
        means.append(_logs(counts).mean(0))
    return torch.stack(means).mean(0)


def _simple(
    judging: Judging, held: HeldOut, profiles: Profiles, controls: Rows, rng: np.random.Generator
) -> Iterator[tuple[str, Seen]]:
    """Control cells of training, drawn again, each moved by what a baseline predicts."""
    base = _dense(judging.study, controls)
    again = base[torch.from_numpy(rng.integers(len(base), size=judging.num_cells))]
    moves = dict(
        shifts(profiles, judging.study.codes.astype(np.float64), judging.study.control, held.treatment, held.cell_type)
    )
    moves[SIMPLE] = next(moves[name] for name in FALLBACKS if moves[name] is not None)
    for name in BASELINES:
        if (move := moves[name]) is not None:
            effect = torch.from_numpy(move)
            yield name, Seen(base.mean(0) + effect, effect, again + effect)


def _measured(study: Study, cells: Rows, controls: Rows, most: int, rng: np.random.Generator) -> Seen:
    mean = _mean(study, cells)
    return Seen(mean, mean - _mean(study, controls), _dense(study, rng.permutation(cells)[:most]))


def _half(judging: Judging, cells: Rows, controls: Rows, half: int, rng: np.random.Generator) -> Seen:
    """Half of the cells against their own half of the controls, so that two halves share no noise."""
    return _measured(judging.study, _of_half(cells, half), _of_half(controls, half), judging.num_cells, rng)


def _of_half(rows: Rows, half: int) -> Rows:
    chosen = rows[half_of(torch.from_numpy(rows)).numpy() == half]
    return chosen if len(chosen) > 1 else rows[half::2]


def _mean(study: Study, rows: Rows) -> Tensor:
    return torch.from_numpy(np.asarray(log_cp10k(study.counts[rows]).mean(0)).ravel())


def _dense(study: Study, rows: Rows) -> Tensor:
    return torch.from_numpy(log_cp10k(study.counts[rows]).toarray())


def _logs(counts: Tensor) -> Tensor:
    """log1p counts per 10,000, float64; a generated cell may have no count at all, and is then all zeros."""
    wide = counts.double()
    return torch.log1p(wide * (1e4 / wide.sum(1, keepdim=True).clamp(min=1)))


@dataclass(frozen=True, slots=True)
class Summary:
    """Means over conditions, over all of them and for each kind: `rmse`, `rmse@combo_seen2`."""

    model: Values
    baselines: Mapping[str, Values]
    halves: Values
    ceiling: Values
    flow_alone: Values
    higher_is_better: Mapping[str, bool]


def summary(judged: Sequence[Judged]) -> Summary:
    """Put all conditions together. Scores of effects are means over conditions that have a measurable effect.

    Conditions about which nothing was learnt count among their own kind only.
    """
    kinds = sorted({one.kind for one in judged})
    informed = [one for one in judged if not one.is_without_information]
    groups = {
        "": informed or list(judged),
        **({f"@{kind}": [one for one in judged if one.kind == kind] for kind in kinds} if len(kinds) > 1 else {}),
    }

    def means(get: str, baseline: str = "") -> Values:
        found = {}
        for suffix, group in groups.items():
            for metric in HIGHER_IS_BETTER:
                counted = [one for one in group if not (one.is_below_noise and metric in OF_EFFECTS)]
                rows = [one.baselines.get(baseline, NOTHING) if baseline else getattr(one, get) for one in counted]
                found[metric + suffix] = mean_of(rows, metric)
        return found

    halves = means("halves")
    return Summary(
        means("model"),
        {baseline: means("baselines", baseline) for baseline in BASELINES},
        halves,
        {name: ceiling_of(name.partition("@")[0], value) for name, value in halves.items()},
        means("flow_alone"),
        {metric + suffix: better for suffix in groups for metric, better in HIGHER_IS_BETTER.items()},
    )


NOTHING: Values = dict.fromkeys(HIGHER_IS_BETTER)
