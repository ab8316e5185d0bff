"""What the held-out conditions come to together, and what a person is told about it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import torch

from evenkeel_recipes.kit.outcome import Outcome, score_lines
from evenkeel_recipes.kit.refusal import DONE, NO_SKILL
from evenkeel_recipes.virtual_cell.generating.generate import Trained
from evenkeel_recipes.virtual_cell.generating.sampling import How, begin, solver_error
from evenkeel_recipes.virtual_cell.judging.judge import Judged, Judging, generating, judge, summary
from evenkeel_recipes.virtual_cell.training.material import Material


def evaluated(trained: Trained, material: Material, began: float) -> tuple[Outcome, list[Judged]]:
    """Scores of everything that was held out.

    Raises:
        ops.NonFiniteVelocity: see `judge`.
    """
    config = material.config
    how = How(config.solver, config.n_steps, config.guidance, config.tech, config.source)
    judged = judge(Judging(trained, material.study, material.split, how, config.eval_cells, config.seed))
    found = summary(judged)
    below = [one.name for one in judged if one.is_below_noise]
    population: dict[str, object] = {
        "conditions": len(judged),
        "cells": sum(one.num_cells for one in judged),
        "kinds": {kind: sum(one.kind == kind for one in judged) for kind in sorted({one.kind for one in judged})},
        "undefined_below_noise": below,
        "without_information": [one.name for one in judged if one.is_without_information],
        "flow_alone": dict(found.flow_alone),
        "split_halves": dict(found.halves),
        "solver_error_rms": _solver_error(trained, material, how),
        "faults": list(config.fault),
    }
    if trained.anchor is not None:
        population["means_rest_on"] = {
            kind: {"left_out": trained.anchor.judged_by[kind], **shares}
            for kind, shares in trained.anchor.shares.items()
        }
    beside = [scores["pearson_delta"] for scores in (found.model, *found.baselines.values())]
    has_effects = beside[0] is not None and any(value is not None for value in beside[1:])
    return Outcome(
        headline="pearson_delta" if has_effects else "rmse",
        model=found.model, baselines=found.baselines, higher_is_better=found.higher_is_better, population=population,
        seconds=time.monotonic() - began, seed=config.seed, ceiling=found.ceiling,
        coverage={name: _coverage(name, judged) for name in found.model},
    ), judged  # fmt: skip


def _solver_error(trained: Trained, material: Material, how: How) -> float:
    """Of the latents of one held-out condition: root mean square, by halving the steps."""
    held = material.split.held_out[0]
    places = trained.bank.pick(held.cell_type, None, material.config.eval_cells, torch.Generator().manual_seed(0))
    code = torch.from_numpy(material.study.codes[held.treatment])
    with generating(material.study.condition(held.treatment, held.cell_type)):
        return solver_error(trained.model, begin(trained.bank, places, how, 0), code, how)


def _coverage(metric: str, judged: Sequence[Judged]) -> tuple[int, int]:
    """How many conditions have a score, of those that it is a mean over."""
    name, _, kind = metric.partition("@")
    informed = [one for one in judged if not one.is_without_information] or judged
    group = [one for one in judged if one.kind == kind] if kind else informed
    return sum(one.model[name] is not None for one in group), len(group)


def tell(outcome: Outcome, judged: Sequence[Judged], trained: Trained, solver: str) -> None:
    """Print what means rest on, every score beside its baselines, and which conditions have none, and why."""
    if trained.anchor is not None:
        kinds = sorted({one.kind for one in judged})
        sys.stdout.writelines(f"{trained.anchor.sentence(kind)}\n" for kind in kinds)
    sys.stdout.writelines(f"{line}\n" for line in score_lines(outcome))
    for one in judged:
        if one.is_below_noise:
            sys.stdout.write(f"{one.name}: undefined, below noise: two halves of its cells do not agree on an effect\n")
        if one.is_without_information:
            sys.stdout.write(
                f"{one.name}: no information: none of its perturbations was trained (--perturbation-features)\n"
            )
    sys.stdout.write(
        f"error of the latents by {solver}, by halving its steps: {outcome.population['solver_error_rms']:.2g} "
        "(root mean square)\n"
    )


def verdict(outcome: Outcome, require_skill: bool) -> int:  # noqa: FBT001  # --require-skill
    """Print whether the headline beats every baseline; gives the exit status."""
    skill = outcome.skill
    beaten = skill is not None and skill > 0
    sys.stdout.write(
        f"verdict: {'better' if beaten else 'no better'} than the best baseline ({outcome.best_baseline}) "
        f"in {outcome.headline}\n"
    )
    return NO_SKILL if require_skill and not beaten else DONE
