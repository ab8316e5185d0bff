"""What means rest on is what was right about conditions that were left out."""

from __future__ import annotations

import numpy as np
import pytest

from evenkeel_recipes.virtual_cell.cells.data import Study
from evenkeel_recipes.virtual_cell.cells.split import split_study, wanted_of
from evenkeel_recipes.virtual_cell.cells.stimulation import PLANS, Plan, simulated_base, stimulated
from evenkeel_recipes.virtual_cell.means.means import EFFECTS, Means, Question, few_of, fit_means, kind_of, questions
from evenkeel_recipes.virtual_cell.means.profiles import Array, Profiles, log_cp10k, profiles_of

SINGLES = np.vstack([np.zeros(4), np.eye(4)])
PAIRS = np.array([[1.0, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])


def contexts(rng: np.random.Generator, after: str, number: float = 500.0) -> tuple[Profiles, Array]:
    """Seven types with controls, six of them treated; and the profile that the seventh would have."""
    base = np.maximum(rng.normal(2, 1.2, 300) + rng.normal(0, 1, (7, 300)), 0)
    factor = np.exp(rng.normal(0, 1.0, 300))
    treated = np.log1p(np.expm1(base) * factor) if after == "scaled" else base + np.log(factor)
    mean = np.vstack([base, treated[:6]]) + rng.normal(0, 1, (13, 300)) / np.sqrt(number)
    mean = np.hstack([mean, np.full((13, 1), 7.0)])
    kinds = np.concatenate([np.arange(7), np.arange(6)])
    return Profiles(np.repeat([0, 1], [7, 6]), kinds, np.full(13, number), mean, np.ones(301)), treated[6]


def means_of(given: Profiles, codes: Array, n_types: int) -> Means:
    """As a run fits them."""
    return fit_means(given, codes, 0, np.eye(codes.shape[1]), n_types)


@pytest.mark.parametrize("truth", ["scaled", "shifted"])
def test_what_is_right_elsewhere_gets_the_shares(rng: np.random.Generator, truth: str) -> None:
    """Effects that multiply counts, or add to their logarithms: the type that was left out is told accordingly."""
    given, wanted = contexts(rng, truth)
    means = means_of(given, np.array([[0.0], [1.0]]), 7)
    shares, told = means.shares["leave_context"], means.known.told(np.array([1.0]), 6)
    assert sum(shares.values()) == pytest.approx(1)
    assert min(shares.values()) >= 0
    assert means.judged_by["leave_context"] == 6
    assert (shares["scaled"] > 0.7) == (truth == "scaled")
    error = {name: np.sqrt(((mean[:-1] - wanted) ** 2).mean()) for name, mean in told.items()}
    ours = np.sqrt(((means.predict(np.array([1.0]), 6)[0][:-1] - wanted) ** 2).mean())
    assert ours < 1.1 * min(error.values())
    assert ours < (0.5 if truth == "scaled" else 1.1) * error["mean_shift"]


def test_the_noise_of_shared_controls_is_no_agreement(rng: np.random.Generator) -> None:
    """Few controls, small effects that add up: sums of differences get no share for the noise that they have in common.

    If changes were compared, and not means, they would get nearly all of it, together with the mean of others.
    """
    codes = np.vstack([SINGLES, PAIRS])
    number = np.array([10.0, *[200.0] * 7])
    truth = rng.normal(2, 1, 400) + codes @ rng.normal(0, 0.05, (4, 400))
    mean = np.hstack([truth + rng.normal(0, 1, (8, 400)) / np.sqrt(number)[:, None], np.ones((8, 1))])
    given = Profiles(np.arange(8), np.zeros(8, dtype=np.int64), number, mean, np.ones(401))
    shares = means_of(given, codes, 1).shares["combo_seen2"]
    assert shares[EFFECTS] > 0.5
    assert shares["additive"] < 0.1


def test_questions_are_not_told_by_their_answers(study: Study) -> None:
    """Nor by singles that are meant to be unknown; each kind is asked as the split would call it."""
    codes = study.codes.astype(float)
    known = fit_means(profiles_of(study, np.arange(len(study))), codes, study.control, np.eye(6), 3).known
    asked = list(questions(known))
    assert {q.kind for q in asked} == {"leave_context", "unseen_single", "combo_seen2", "combo_seen1", "combo_seen0"}
    for question in asked:
        assert not question.told_by[question.row]
        rest = known.profiles.take(np.flatnonzero(question.told_by))
        place = int(known.profiles.treatment[question.row])
        code = known.codes[place]
        present = np.unique(rest.treatment)
        lean = known.codes[present]
        assert kind_of(_again(rest, present), lean, code, int(known.profiles.cell_type[question.row])) == question.kind


def _again(given: Profiles, present: Array) -> Profiles:
    """With treatments counted anew."""
    return Profiles(
        np.searchsorted(present, given.treatment), given.cell_type, given.number, given.mean, given.variance
    )


@pytest.mark.parametrize(("num_conditions", "asked", "left"), [(20, 7, 7), (150, 90, 24), (400, 90, 3), (9000, 90, 2)])
def test_fewer_are_left_out_where_each_takes_long(num_conditions: int, asked: int, left: int) -> None:
    """From the first to the last, each once."""
    some = few_of([Question("", row, np.ones(1, dtype=bool)) for row in range(asked)], num_conditions)
    assert len({question.row for question in some}) == len(some) == left
    assert (some[0].row, some[-1].row) == (0, asked - 1)


def test_what_was_measured_rests_on_effects_and_the_control_stays(rng: np.random.Generator) -> None:
    """Shares are for what was not measured."""
    given, _ = contexts(rng, "scaled")
    means = means_of(given, np.array([[0.0], [1.0]]), 7)
    one, none = np.array([1.0]), np.array([0.0])
    assert np.array_equal(means.predict(one, 2)[0], means.known.told(one, 2)[EFFECTS])
    treated, untreated = means.predict(none, 6)
    assert np.array_equal(treated, untreated)
    assert np.abs(untreated[:-1] - given.mean[6, :-1]).max() < 0.2


def test_a_share_of_what_has_nothing_to_go_by_falls_to_the_effects(rng: np.random.Generator) -> None:
    """Here sums of singles, in a type in which no single was measured."""
    given, _ = contexts(rng, "shifted")
    known = means_of(given, np.array([[0.0, 0], [1, 0]]), 7).known
    code = np.array([1.0, 1.0])
    means = Means(known, {"combo_seen1": {"additive": 0.5, EFFECTS: 0.5}}, {"combo_seen1": 2})
    assert "additive" not in known.told(code, 6)
    assert np.allclose(means.predict(code, 6)[0], known.told(code, 6)[EFFECTS])
    assert "additive" in known.told(code, 0)
    both = known.told(code, 0)
    assert np.allclose(means.predict(code, 0)[0], (both["additive"] + both[EFFECTS]) / 2)


def test_means_say_what_they_rest_on(rng: np.random.Generator) -> None:
    """With the number of conditions that it was judged by; and where there was nothing to judge by, that."""
    means = means_of(contexts(rng, "scaled")[0], np.array([[0.0], [1.0]]), 7)
    assert means.sentence("leave_context").startswith("means of leave_context rest on scaled 0.")
    assert means.sentence("leave_context").endswith("nearest in 6 conditions left out in turn")
    assert means.sentence("combo_seen2") == "means of combo_seen2 rest on shrunk effects alone"


@pytest.mark.parametrize("plan", PLANS[1:3], ids=lambda plan: plan.name)
def test_left_out_types_are_told_better_than_by_the_mean_shift(plan: Plan) -> None:
    """Cells of eight types, each left out in turn: the mean error over all, and nearly all types by themselves."""
    base = simulated_base(400, 3)
    study, _ = stimulated(plan, base, 15, 3)
    errors = []
    for kind in range(8):
        split = split_study(study, wanted_of(study, (f"stim@{base.names[kind]}",), None, 0), at_random=False, seed=0)
        means = means_of(profiles_of(study, split.learnt), study.codes.astype(float), 8)
        measured = np.asarray(log_cp10k(study.counts[split.held_out[0].cells]).mean(0)).ravel()
        ours, shift = means.predict(np.ones(1), kind)[0], means.known.told(np.ones(1), kind)["mean_shift"]
        errors.append([np.sqrt(((mean[:-1] - measured) ** 2).mean()) for mean in (ours, shift)])
    found = np.array(errors)
    assert found[:, 0].mean() < 0.97 * found[:, 1].mean()
    assert (found[:, 0] < found[:, 1]).sum() >= 6
