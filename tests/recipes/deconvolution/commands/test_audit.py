"""The parts of a run are asked small questions: the healthy ones answer all, each faulty one fails its own."""

from __future__ import annotations

import pytest

from evenkeel_recipes.deconvolution.commands.audit import of_parts
from evenkeel_recipes.deconvolution.faults import FAULTS
from evenkeel_recipes.deconvolution.science import healthy
from evenkeel_recipes.kit.checklist import Grade
from evenkeel_recipes.kit.faults import planted


def failed(*names: str) -> set[str]:
    checks = list(of_parts(planted(healthy(), names, FAULTS)))
    assert len(checks) == 5
    return {check.what for check in checks if check.grade is Grade.FAIL}


def test_the_parts_are_sound() -> None:
    assert failed() == set()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("kl_log_zero", {"reconstruction is least at the truth", "a suppressed type comes back"}),
        ("kl_clamp_pred", {"reconstruction is least at the truth", "a suppressed type comes back"}),
        ("log_mixing", {"reconstruction is least at the truth"}),
        ("free_signature", {"reconstruction is least at the truth", "types are compositions"}),
        ("unbounded_logvar", {"variance of a cell stays finite"}),
        ("dead_head", {"networks get a gradient"}),
        ("label_draw", set()),
    ],
)
def test_a_wrong_part_fails_its_own_question(name: str, wrong: set[str]) -> None:
    assert failed(name) == wrong
