"""A patch becomes advice when it has proved itself; otherwise the advice says why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from evenkeel.casefile.mending import with_diff
from evenkeel.core.case import Case, Symptom
from evenkeel.core.edit import Edit, Hole, Span
from evenkeel.core.incident import Advice, Experiment, Incident
from evenkeel.core.patch import PatchedFile, ProofResult

SCRIPT = "import torch\nloss = torch.log(torch.softmax(x, 1)).mean()\nloss.backward()\n"
DIFF = """\
--- a/train.py
+++ b/train.py
@@ -1,3 +1,3 @@
 import torch
-loss = torch.log(torch.softmax(x, 1)).mean()
+loss = torch.log_softmax(x, dim=1).mean()
 loss.backward()
"""
LOSS = Symptom(kind="loss", name="loss")
TRIED = Experiment(name="stable form", changed="log_softmax in place of log of softmax", healthy=True, loss=2.31)
OTHER = Advice(text="Look at sample 3.")
KNOWN = Advice(text="Use log_softmax.", verified_by=f"the failing step repeated with {TRIED.changed}: finite")
INCIDENT = Incident(
    case=Case(step=41, phase="forward", symptom=LOSS, reproduced=True), experiments=(TRIED,), advice=(OTHER,)
)


def span(column: int, end: int, file: Path) -> Span:
    """Columns of the second line."""
    return Span(file=str(file), scope="<module>", line=2, column=column, end_line=2, end_column=end)


@pytest.fixture
def edit(tmp_path: Path) -> Edit:
    """What the experiment did, in the words of the script."""
    file = tmp_path / "train.py"
    file.write_text(SCRIPT)
    softmax = Hole(span=span(17, 36, file), position=0, keyword="input")
    return Edit(
        span=span(7, 37, file),
        template="torch.log_softmax({0}, dim={1})",
        holes=(softmax, replace(softmax, position=1, keyword="dim", default="-1")),
        imports=("import torch",),
    )


class Answer:
    """Answers what a patched program did, and notes what was asked."""

    def __init__(self, answer: ProofResult | str) -> None:
        self.answer = answer
        self.asked: list[tuple[Sequence[PatchedFile], int]] = []

    def __call__(self, files: Sequence[PatchedFile], step: int) -> ProofResult | str:
        self.asked.append((files, step))
        return self.answer


def test_a_patch_that_has_proved_itself(edit: Edit, tmp_path: Path) -> None:
    """What it does, what was measured, by what it was verified, and the diff."""
    prove = Answer(ProofResult(first=41, losses=(2.31, 2.2987)))
    found = with_diff(INCIDENT, (edit,), "stable form", prove, directory=tmp_path)
    first, second = found.advice
    assert first.text == (
        "Replace `torch.log(torch.softmax(x, 1))` by `torch.log_softmax(x, dim=1)` in train.py, line 2: "
        "with this patch steps 41 and 42 are finite, loss 2.31, then 2.299."
    )
    assert first.verified_by == "the patched program, run from its start to step 42"
    assert first.diff == DIFF
    assert second == OTHER
    ((files, step),) = prove.asked
    assert (step, [file.file for file in files]) == (41, [edit.span.file])
    assert replace(found, advice=INCIDENT.advice) == INCIDENT
    assert (tmp_path / "train.py").read_text() == SCRIPT


def test_the_step_before_shows_whether_the_patch_computes_the_same(edit: Edit, tmp_path: Path) -> None:
    """Its loss with the patch beside the one without."""
    incident = replace(INCIDENT, case=replace(INCIDENT.case, losses=(2.5, 2.402)))
    prove = Answer(ProofResult(first=41, losses=(2.31, 2.29), loss_before=2.4017))
    first = with_diff(incident, (edit,), "stable form", prove, directory=tmp_path).advice[0]
    assert first.text.endswith(", loss 2.31, then 2.29; the loss of step 40 is 2.402, and was 2.402 without it.")


def test_the_advice_of_the_experiment_is_taken_up(edit: Edit, tmp_path: Path) -> None:
    """One thing to do is said once."""
    incident = replace(INCIDENT, advice=(KNOWN, OTHER))
    proof = ProofResult(first=41, losses=(2.31, 2.29))
    found = with_diff(incident, (edit,), "stable form", Answer(proof), directory=tmp_path)
    assert found.advice[0].text.startswith("Use log_softmax. Replace `torch.log(")
    assert found.advice[1:] == (OTHER,)
    failed = with_diff(incident, (edit,), "stable form", Answer("no time left"), directory=tmp_path)
    text = "Use log_softmax. No patch is offered: the patch did not prove itself: no time left."
    assert failed.advice == (replace(KNOWN, text=text), OTHER)


def test_the_last_step_of_a_program(edit: Edit, tmp_path: Path) -> None:
    """There is no step after it."""
    prove = Answer(ProofResult(first=41, losses=(None,), ended=True))
    first = with_diff(INCIDENT, (edit,), "stable form", prove, directory=tmp_path).advice[0]
    assert first.text.endswith("with this patch step 41 is finite; the program ended after it.")
    assert first.verified_by == "the patched program, run from its start to step 41, its last"
    assert first.diff == DIFF


def test_a_file_outside_of_the_directory(edit: Edit, tmp_path: Path) -> None:
    """Where the paths begin is said."""
    (tmp_path / "elsewhere").mkdir()
    prove = Answer(ProofResult(first=41, losses=(2.31, 2.29)))
    first = with_diff(INCIDENT, (edit,), "stable form", prove, directory=tmp_path / "elsewhere").advice[0]
    assert first.text.endswith(f" The paths of the patch begin in {tmp_path.resolve()}.")


NOT_PROVED = {
    "still bad": (ProofResult(first=41, symptom=LOSS), "in step 41 the loss was not finite"),
    "bad a step later": (
        ProofResult(first=41, losses=(2.3,), symptom=Symptom(kind="gradient", name="head.weight")),
        "in step 42 the gradient of head.weight was not finite",
    ),
    "never came": (ProofResult(first=41, ended=True), "the patched program ended before step 41"),
    "not run": ("it would take too long", "it would take too long"),
}


@pytest.mark.parametrize(("answer", "why"), NOT_PROVED.values(), ids=NOT_PROVED)
def test_a_patch_that_has_not(answer: ProofResult | str, why: str, edit: Edit, tmp_path: Path) -> None:
    """No diff is offered; that the experiment held may be said, and why there is no patch."""
    first, second = with_diff(INCIDENT, (edit,), "stable form", Answer(answer), directory=tmp_path).advice
    assert (first.diff, second) == (None, OTHER)
    assert first.text == (
        "Repeated with log_softmax in place of log of softmax the step is healthy, its loss 2.31. "
        f"No patch is offered: the patch did not prove itself: {why}."
    )
    assert first.verified_by == "the failing step repeated with log_softmax in place of log of softmax"


def test_a_patch_that_cannot_be_made(edit: Edit, tmp_path: Path) -> None:
    """Then nothing is run."""
    (tmp_path / "train.py").write_text("x = 1\n" + SCRIPT)
    prove = Answer("never asked")
    first = with_diff(INCIDENT, (edit,), "stable form", prove, directory=tmp_path).advice[0]
    assert "No patch is offered: train.py: on line 2 no call or operation stands" in first.text
    assert (first.diff, prove.asked) == (None, [])


def test_an_experiment_without_edits(tmp_path: Path) -> None:
    """Nothing to write down, and nothing to prove."""
    assert with_diff(INCIDENT, (), "without samples", Answer("never asked"), directory=tmp_path) is INCIDENT
