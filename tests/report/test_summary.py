"""The sentences say what is known, and that something is not known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from evenkeel.core.case import Origin, Symptom
from evenkeel.core.incident import Advice, Incident
from evenkeel.core.operation import Leaf, Operation
from evenkeel.core.stats import TensorStats
from evenkeel.report import summary


@pytest.fixture
def origin(incident: Incident) -> Origin:
    """The logarithm of the sample."""
    assert incident.case.origin is not None
    return incident.case.origin


@pytest.mark.parametrize(
    ("symptom", "text"),
    [
        (Symptom(kind="loss", name="loss", value=math.inf), "step 0: the loss is inf"),
        (Symptom(kind="loss", name="loss"), "step 0: the loss is not finite"),
        (Symptom(kind="spike", name="loss", value=3e8), "step 0: the loss jumped to 3e8"),
        (Symptom(kind="gradient", name="w"), "step 0: the gradient of w is not finite"),
        (
            Symptom(kind="gradient", name="w", names=("w", "b", "c")),
            "step 0: the gradient of w is not finite, and 2 more",
        ),
        (Symptom(kind="parameter", name="w", names=("w",)), "step 0: the parameter w is not finite"),
        (Symptom(kind="buffer", name="bn.var"), "step 0: the buffer bn.var is not finite"),
        (Symptom(kind="silent", name="no gradient"), "step 0: finite, but not healthy: no gradient"),
    ],
)
def test_the_headline_names_step_and_symptom(bare: Incident, symptom: Symptom, text: str) -> None:
    """Of every kind."""
    assert summary.headline(replace(bare, case=replace(bare.case, symptom=symptom))) == text


def test_the_headline_names_the_rank_when_there_are_several(bare: Incident) -> None:
    """Rank 0 goes without saying."""
    assert summary.headline(replace(bare, rank=3)).startswith("step 0 on rank 3: ")


def test_where_and_what(origin: Origin) -> None:
    """The line, the module and the pass; the operation and what it returned."""
    assert summary.where(origin) == "train.py:7 in kl_divergence, module encoder.head, forward pass"
    assert summary.what(origin) == "log returned 2 -inf among 1,280 elements"
    unplaced = replace(origin, operation=replace(origin.operation, place=None))
    assert summary.where(unplaced).startswith("no line of your own code was running, ")


def test_a_singular_derivative_is_told_with_the_backward_operation(origin: Origin) -> None:
    """The user's line is the forward one; what returned the bad value is not."""
    output = TensorStats(name="grad", shape=(5,), dtype="float32", device="cpu", num_posinf=1)
    derivative = Operation(
        index=90, op="aten.div.Tensor", function="div", phase="backward", inputs=(), outputs=(output,)
    )
    broken = replace(origin, derivative=derivative)
    assert summary.what(broken) == ("the derivative of log is singular here: div returned 1 inf among 5 elements")
    assert summary.where(broken).endswith("backward pass")
    assert summary.element(broken, origin.elements[0]) == "[3, 17]: div(0) = -inf"


def test_a_bad_leaf_is_named_instead_of_the_operation(origin: Origin) -> None:
    """The operation is not to blame for what it was given."""
    stats = TensorStats(name="x", shape=(5,), dtype="float32", device="cpu", num_nan=3)
    leaf = Leaf(kind="batch", name="batch[0]", stats=stats)
    assert summary.what(replace(origin, leaf=leaf)) == "the batch batch[0] was bad before anything touched it: 3 NaN"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "3 and 7 of the 64 in the batch (counted from 0)"),
        ({"micro_batch": 2}, "3 and 7 of the 64 in the batch (counted from 0), in batch 2 of the accumulated step"),
        ({"samples": (), "num_samples": 64}, "not traced to single ones of the 64 in the batch"),
        ({"samples": (0, 1), "num_samples": 2}, "all 2 of the batch"),
        ({"samples": (), "num_samples": None}, "no batch was seen, so none can be named"),
    ],
)
def test_samples(origin: Origin, changes: dict[str, object], text: str) -> None:
    """What is not known is said."""
    assert summary.samples(replace(origin, **changes)) == text


def test_the_replay_is_told_either_way(incident: Incident, bare: Incident) -> None:
    """Not reproduced is a finding of its own."""
    assert summary.replay(incident) == (
        "the step was run again and the symptom came back, the same to the bit (in process)"
    )
    assert summary.replay(bare) == "the symptom was not reproduced (the loop takes its data in its own way)"


def test_advice_falls_back_on_the_likeliest_cause(incident: Incident, bare: Incident) -> None:
    """And says that it was not tried."""
    (item,) = summary.advice(replace(incident, advice=()))
    assert item.text == incident.causes[0].advice
    assert summary.verified(item) == "not tried on this step"
    assert summary.advice(bare) == ()


def test_each_line_of_a_diff_with_what_it_is() -> None:
    """Headers are no changes; a line may hold what elsewhere ends one."""
    diff = "--- a/t.py\n+++ b/t.py\n@@ -1,2 +1,2 @@\n same\x0c line\n-old\r\n+new\r\n\\ No newline at end of file\n"
    assert list(summary.diff_lines(Advice(text="", diff=diff))) == [
        ("file", "--- a/t.py"),
        ("file", "+++ b/t.py"),
        ("where", "@@ -1,2 +1,2 @@"),
        ("same", " same\x0c line"),
        ("minus", "-old"),
        ("plus", "+new"),
        ("same", "\\ No newline at end of file"),
    ]
    assert list(summary.diff_lines(Advice(text=""))) == []
