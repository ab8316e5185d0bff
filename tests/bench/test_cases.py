"""The benchmark of public failures: every case has its truth, and the truth fits the script."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evenkeel.experiment.forms.table import FORMS

BENCH = Path(__file__).resolve().parents[2] / "bench"
SCRIPTS = sorted((BENCH / "cases").glob("*.py"))
CASE_IDS = [
    *(f"G{n:02}" for n in range(2, 20, 2)),
    *(f"T{n:02}" for n in range(2, 8, 2)),
    *(f"P{n:02}" for n in range(2, 26, 2)),
    *(f"U{n:02}" for n in range(2, 70, 2)),
]
CONTROL_IDS = [f"N{n:02}" for n in range(2, 26, 2)]
KEYS = {
    "id",
    "source",
    "step",
    "phase",
    "symptom",
    "ops",
    "line",
    "function",
    "families",
    "samples",
    "remedies",
    "note",
}
MARK = "# origin"
FAMILIES = {
    "domain",
    "range",
    "gradient_singularity",
    "reduction",
    "data",
    "dynamics",
    "precision",
    "distributed",
    "masking",
}
PROBE = """
import json, runpy, sys, torch
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

steps, seen, losses = [], [], []
backward = torch.autograd.backward


def watched_backward(tensors, *args, **kwargs):
    losses.append(tensors.detach())
    return backward(tensors, *args, **kwargs)


def parameters(optimizer):
    return [p for group in optimizer.param_groups for p in group["params"]]


def bad(tensors):
    return any(not torch.isfinite(tensor).all() for tensor in tensors)


def before(optimizer, args, kwargs):
    if bad(losses):
        seen.append([len(steps), "loss"])
    elif bad([p.grad for p in parameters(optimizer) if p.grad is not None]):
        seen.append([len(steps), "gradient"])
    losses.clear()


def after(optimizer, args, kwargs):
    if bad([p.detach() for p in parameters(optimizer)]):
        seen.append([len(steps), "parameter"])
    steps.append(None)


torch.autograd.backward = watched_backward
register_optimizer_step_pre_hook(before)
register_optimizer_step_post_hook(after)
script = sys.argv.pop(1)
sys.argv[0] = script
runpy.run_path(script, run_name="__main__")
print()
print(json.dumps(seen[:1]))
"""


def truth_of(script: Path) -> dict:
    """The truth as it was written."""
    return json.loads(script.with_suffix(".json").read_text())


CASES = [script for script in SCRIPTS if script.name[0] != "n"]
CONTROLS = [script for script in SCRIPTS if script.name[0] == "n"]


def named(scripts: list[Path]) -> pytest.MarkDecorator:
    """One test per script, under the script's name."""
    return pytest.mark.parametrize("script", scripts, ids=lambda script: script.stem)


def test_every_even_case_and_every_even_control_is_there() -> None:
    """58 cases and 12 controls, each once, and no truth without a script."""
    assert (len(CASES), len(CONTROLS)) == (58, 12)
    assert sorted(truth_of(script)["id"] for script in CASES) == sorted(CASE_IDS)
    assert sorted(truth_of(script)["id"] for script in CONTROLS) == CONTROL_IDS
    assert sorted(path.stem for path in (BENCH / "cases").glob("*.json")) == [s.stem for s in SCRIPTS]


@named(SCRIPTS)
def test_the_truth_has_exactly_the_agreed_keys(script: Path) -> None:
    """A missing key would be a silent None in the score."""
    truth = truth_of(script)
    assert set(truth) == KEYS
    assert script.stem.startswith(truth["id"].lower() + "_")
    assert truth["source"]
    assert truth["note"]


@named(SCRIPTS)
def test_the_script_is_an_ordinary_one(script: Path) -> None:
    """30 to 70 lines of plain PyTorch that know nothing of evenkeel."""
    text = script.read_text()
    assert "evenkeel" not in text
    assert 30 <= len(text.splitlines()) <= 70
    assert "torch.manual_seed(" in text
    assert ".backward()" in text
    assert "optimizer.step()" in text or "scaler.step(optimizer)" in text


@named(CASES)
def test_the_line_and_function_of_the_truth_are_the_marked_ones(script: Path) -> None:
    """Exactly one line carries the mark, and it lies in the innermost function that the truth names."""
    truth, text = truth_of(script), script.read_text()
    marked = [number for number, line in enumerate(text.splitlines(), 1) if line.endswith(MARK)]
    assert marked == [truth["line"]]
    assert text.count(MARK) == 1
    around = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.lineno <= truth["line"] <= node.end_lineno
    ]
    innermost = max(around, key=lambda node: node.lineno).name if around else "<module>"
    assert truth["function"] == innermost


@named(CASES)
def test_the_marked_line_is_a_statement_of_its_own(script: Path) -> None:
    """A statement over several lines has no single line that every Python version names."""
    line = truth_of(script)["line"]
    statements = [
        node
        for node in ast.walk(ast.parse(script.read_text()))
        if isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.ClassDef))
    ]
    assert [node for node in statements if (node.lineno, node.end_lineno) == (line, line)]


@named(CASES)
def test_what_the_truth_says_is_possible(script: Path) -> None:
    """Words from the agreed lists; a step and operations exactly where something becomes non-finite."""
    truth = truth_of(script)
    assert truth["phase"] in {"forward", "backward", "optimizer", "state", "data"}
    assert truth["symptom"] in {"loss", "gradient", "parameter", "silent"}
    assert (truth["step"] is None) == (truth["symptom"] == "silent")
    assert truth["step"] is None or truth["step"] >= 0
    assert truth["families"]
    assert set(truth["families"]) <= FAMILIES
    assert truth["ops"] or truth["symptom"] == "silent"
    assert truth["samples"] is None or all(isinstance(row, int) for row in truth["samples"])
    assert "--fixed" in script.read_text()


@named(CONTROLS)
def test_a_control_claims_nothing(script: Path) -> None:
    """Nothing is wrong, so there is no origin to mark."""
    truth = truth_of(script)
    assert MARK not in script.read_text()
    assert truth["symptom"] == "none"
    assert [truth[key] for key in ("step", "phase", "line", "function", "samples")] == [None] * 5
    assert [truth[key] for key in ("ops", "families", "remedies")] == [[], [], []]


def test_most_failures_have_a_remedy_that_can_be_tried() -> None:
    """Those without one need another formula (a logarithm too many, free vectors, a scale learned as it is)."""
    truths = [truth_of(script) for script in CASES]
    nonfinite = [truth for truth in truths if truth["symptom"] != "silent"]
    assert len(nonfinite) == 49
    assert [truth["id"] for truth in nonfinite if not truth["remedies"]] == ["G08", "G10", "P16", "U14"]
    names = {name for truth in truths for name in truth["remedies"]}
    forms = {f"stable form: {form.name}" for form in FORMS}
    others = {"without samples", "step left out", "parameters initialised", "step in float32"}
    assert all(name in forms | others or name.startswith(("smaller step: ", "clipped gradients: ")) for name in names)


def first_sighting(name: str, *arguments: str) -> list:
    """Step and symptom at which plain hooks first see something non-finite; empty in a healthy run."""
    command = [sys.executable, "-c", PROBE, str(BENCH / "cases" / f"{name}.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", ["g02_xor", "u36_silog", "u52_orthogonal_updates"])
def test_a_case_fails_as_its_truth_says_and_not_when_fixed(name: str) -> None:
    """One case each of a bad loss, a bad gradient and a bad parameter, seen with torch's own hooks."""
    truth = truth_of(BENCH / "cases" / f"{name}.py")
    assert first_sighting(name) == [[truth["step"], truth["symptom"]]]
    assert first_sighting(name, "--fixed") == []
