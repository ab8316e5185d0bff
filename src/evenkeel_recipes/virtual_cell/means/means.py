"""What means rest on: shrunk effects and simpler predictions, each as far as it was right about what is known.

Whether effects add up or multiply, and whether a type does as its like do, differs from screen to screen. So each
training condition that could have been asked for is left out in turn, everything predicts it, and the shares with which
the predictions together come nearest are kept, for each kind of question. The additive and the mean-shift baseline are
among them: where nothing is better, they are what means rest on, and the shares say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from evenkeel_recipes.virtual_cell.means.anchor import Anchor, Design, fit_anchor
from evenkeel_recipes.virtual_cell.means.baselines import shifts
from evenkeel_recipes.virtual_cell.means.contexts import elsewhere, levelled
from evenkeel_recipes.virtual_cell.means.profiles import Array, Profiles

EFFECTS = "effects"  # of the anchor; what everything rests on that was never left out
SIMPLER = {
    "leave_context": ("no_change", "mean_shift", "scaled", "sloped_effects"),
    "combo_seen2": ("no_change", "mean_of_others", "additive", "linear"),
    "combo_seen1": ("no_change", "mean_of_others", "additive", "linear"),
    "combo_seen0": ("no_change", "mean_of_others"),
    "unseen_single": ("no_change", "mean_of_others"),
}
MOST_LEFT_OUT = 24  # of each kind
MANY_CONDITIONS = 200  # beyond which fewer are left out: the cost of each grows with the third power
LEAST_LEFT_OUT = 2  # to judge by
PRIOR = 1.0  # for the effects alone, in conditions left out
SHOWN = 0.005  # the least share that is told
EXACTLY = 1e3  # how much more than all errors it weighs that shares add up to 1

Shares = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Known:
    """What was measured, and what was fitted to it.

    Attributes:
        anchor: shrunk effects.
        sloped: the same of `levelled` profiles.
        profiles, codes, control: see `fit_means`.
    """

    anchor: Anchor
    sloped: Anchor
    profiles: Profiles
    codes: Array
    control: int

    def told(self, code: Array, cell_type: int) -> Mapping[str, Array]:
        """Mean profile [genes + 1] by everything that has something to go by.

        How depth changes is told by the shrunk effects alone.
        """
        effects = _by(self.anchor, code, cell_type)
        base = self.profiles.find(self.control, cell_type)
        if base is None:
            return {EFFECTS: effects}
        codes, treatment = placed(self.codes, code)
        own, found = self.profiles.mean[base, :-1], {EFFECTS: effects[:-1]}
        for name, change in shifts(self.profiles, codes, self.control, treatment, cell_type).items():
            if change is not None:
                found[name] = own + change
        others = elsewhere(self.profiles, self.control, treatment, cell_type)
        if others is not None:
            found["scaled"] = own + others.scaled(own)
            found["sloped_effects"] = _by(self.sloped, code, cell_type)[:-1] + others.sloping(own)
        return {name: np.append(mean, effects[-1]) for name, mean in found.items()}


def known_from(anchor: Anchor, sloped: Anchor) -> Known:
    """Both, with the profiles that they were fitted to."""
    codes, treatment = np.unique(anchor.design.code, axis=0, return_inverse=True)
    profiles = Profiles(treatment.ravel(), anchor.design.cell_type, anchor.number, anchor.mean, anchor.variance)
    return Known(anchor, sloped, profiles, codes, int(np.flatnonzero(~codes.any(1))[0]))


@dataclass(frozen=True, slots=True)
class Means:
    """Mean profiles of any condition.

    Attributes:
        known: what they rest on.
        shares: by kind of question, the share of each prediction; none for a kind that nothing could be left out of.
        judged_by: how many conditions were left out for each kind.
    """

    known: Known
    shares: Mapping[str, Shares]
    judged_by: Mapping[str, int]

    def predict(self, code: Array, cell_type: int) -> tuple[Array, Array]:
        """Mean profiles [genes + 1] of a type, with this code [perturbations] and without."""
        known = self.known
        told, untreated = known.told(code, cell_type), _by(known.anchor, np.zeros_like(code), cell_type)
        shares = self.shares.get(kind_of(known.profiles, known.codes, code, cell_type), {EFFECTS: 1.0})
        # What has nothing to go by here leaves its share to the effects.
        parts = [share * told.get(name, told[EFFECTS]) for name, share in shares.items()]
        return np.asarray(np.sum(parts, axis=0)), untreated

    def sentence(self, kind: str) -> str:
        """What means of this kind of question rest on, for people."""
        if kind not in self.shares:
            return f"means of {kind} rest on shrunk effects alone"
        largest = sorted(self.shares[kind].items(), key=lambda item: -item[1])
        shares = ", ".join(f"{name} {share:.2f}" for name, share in largest if share >= SHOWN)
        return f"means of {kind} rest on {shares}: nearest in {self.judged_by[kind]} conditions left out in turn"


def fit_means(profiles: Profiles, codes: Array, control: int, alike: Array, n_types: int) -> Means:
    """Fit the anchor, and find the shares.

    Args:
        profiles: of the training cells.
        codes: [treatments, perturbations].
        control: position of the control among the treatments.
        alike: see `Likeness.perturbations`.
        n_types: how many cell types there are.

    Cost: that of `fit_anchor` for each condition that is left out, up to 24 of each kind twice, fewer beyond 200
    conditions.
    """
    anchor, sloped = (fit_anchor(p, codes, control, alike, n_types) for p in (profiles, levelled(profiles, control)))
    known = known_from(anchor, sloped)
    shares, judged_by = {}, {}
    for kind, simpler in SIMPLER.items():
        asked = [q for q in questions(known) if q.kind == kind]
        some = few_of(asked, len(profiles.number))
        if len(some) < LEAST_LEFT_OUT:
            continue
        answers = [_answered(question, known) for question in some]
        names = [name for name in simpler if all(name in found for _, found in answers)]
        shares[kind], judged_by[kind] = _shares(answers, [*names, EFFECTS]), len(some)
    return Means(known, shares, judged_by)


@dataclass(frozen=True, slots=True)
class Question:
    """A condition (row of the profiles) that is to be told from some of the others (bool [conditions])."""

    kind: str
    row: int
    told_by: NDArray[np.bool_]


def questions(known: Known) -> Iterator[Question]:
    """Every condition, asked for as it would be if it, or its parts, had never been measured."""
    profiles, control = known.profiles, known.control
    treatment, parts = profiles.treatment, known.codes[profiles.treatment] != 0
    for row in np.flatnonzero(parts.any(1)):
        cell_type, number = int(profiles.cell_type[row]), parts[row].sum()
        if profiles.find(control, cell_type) is None:
            continue
        if elsewhere(profiles, control, int(treatment[row]), cell_type) is not None:
            yield Question("leave_context", int(row), np.arange(len(treatment)) != row)
        without = ~(parts & parts[row]).any(1)
        if number == 1 and parts[without].any():
            yield Question("unseen_single", int(row), without)
        if number == 2:  # noqa: PLR2004  two parts, of which both, one or none is known alone
            alone = [(parts == part).all(1) for part in np.eye(parts.shape[1], dtype=bool)[parts[row]]]
            for unknown in ([], alone[:1], alone[1:], alone):
                told_by = (treatment != treatment[row]) & ~np.any([*unknown, np.zeros(len(parts), dtype=bool)], axis=0)
                yield Question(f"combo_seen{sum(bool((told_by & one).any()) for one in alone)}", int(row), told_by)


def few_of(asked: Sequence[Question], num_conditions: int) -> Sequence[Question]:
    """As many as time allows, from all over: at most 24, fewer beyond 200 conditions, never fewer than 2."""
    most = max(LEAST_LEFT_OUT, int(MOST_LEFT_OUT * min(1.0, (MANY_CONDITIONS / num_conditions) ** 3)))
    places = np.linspace(0, len(asked) - 1, min(len(asked), most)).astype(int)
    return [asked[place] for place in places]


def kind_of(profiles: Profiles, codes: Array, code: Array, cell_type: int) -> str:
    """Which kind of question a condition is, in the words of the split; "measured" for one that training had."""
    treatment, parts, measured = placed(codes, code)[1], code != 0, codes != 0
    if profiles.find(treatment, cell_type) is not None:
        return "measured"
    if treatment < len(codes):
        return "leave_context"
    if parts.sum() > 1:
        return f"combo_seen{(parts & measured[measured.sum(1) == 1].any(0)).sum()}"
    return "single_in_combinations" if (parts & measured.any(0)).any() else "unseen_single"


def _answered(question: Question, known: Known) -> tuple[Array, Mapping[str, Array]]:
    """The mean profile that was measured, and those that are told without it, [genes + 1].

    Means are compared, not changes: two changes from the same controls share the noise of these, and agree in it.
    Relations, four numbers chosen over all genes, stay as they are; choosing them anew each time takes 25 times longer.
    """
    profiles, control = known.profiles, known.control
    alike, n_types = known.anchor.likeness.perturbations, len(known.anchor.likeness.distance)
    rest = profiles.take(np.flatnonzero(question.told_by))
    anchor = fit_anchor(rest, known.codes, control, alike, n_types, [known.anchor.relations])
    sloped = anchor
    if question.kind == "leave_context":
        sloped = fit_anchor(levelled(rest, control), known.codes, control, alike, n_types, [known.sloped.relations])
    code = known.codes[profiles.treatment[question.row]]
    return profiles.mean[question.row], known_from(anchor, sloped).told(code, int(profiles.cell_type[question.row]))


def _shares(answers: Sequence[tuple[Array, Mapping[str, Array]]], names: Sequence[str]) -> Shares:
    """Shares, none below 0, with which these predictions together come nearest to what was measured."""
    measured = np.concatenate([mean[:-1] for mean, _ in answers])
    predicted = np.stack([np.concatenate([found[name][:-1] for _, found in answers]) for name in names], axis=1)
    # As shares add up to 1, anything can be taken from all; without what they have in common, rounding is small.
    common = predicted.mean(1)
    measured, predicted = measured - common, predicted - common[:, None]
    heavy = EXACTLY * max(1.0, float(np.linalg.norm(measured)))
    best, _ = nnls(np.vstack([predicted, np.full(len(names), heavy)]), np.append(measured, heavy))
    usual = np.array([float(name == EFFECTS) for name in names])
    together = (len(answers) * best / best.sum() + PRIOR * usual) / (len(answers) + PRIOR)
    return dict(zip(names, together.tolist(), strict=True))


def placed(codes: Array, code: Array) -> tuple[Array, int]:
    """Codes [treatments, perturbations] among which this one is, behind the others if it is new; and its place."""
    rows = np.flatnonzero((codes == code).all(1))
    return (codes, int(rows[0])) if len(rows) else (np.vstack([codes, code]), len(codes))


def _by(anchor: Anchor, code: Array, cell_type: int) -> Array:
    return np.asarray(anchor.predict(Design(code[None], np.array([cell_type])))[0])
