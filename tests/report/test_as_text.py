"""The terminal report: everything needed to act, at any width, without colour."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from evenkeel.core.incident import Incident
from evenkeel.report.as_text import render

ESSENTIAL = (
    "step 12: the loss is NaN",
    "train.py:7 in kl_divergence, module encoder.head, forward pass",
    ">     7 |     return (posterior * ratio.log()).sum(1)",
    "log returned 2 -inf among 1,280 elements",
    "[3, 17]: log(0) = -inf",
    "-11.2 to 1.311",
    "3 and 7 of the 64 in the batch",
    "0.1 * kl_divergence(posterior, prior)",
    "infinity born",
    "log_of_nonpositive (EK201, domain, confidence 0.90)",
    "less likely: data_scale",
    "healthy, loss 5.31",
    "+    return (posterior * (log_posterior - log_prior)).sum(1)",
    "evenkeel-runs/train-20250101-120000/report.html",
)


def printed(incident: Incident, width: int, *, color: bool = False) -> str:
    """What a terminal of that width gets."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=color, color_system="truecolor" if color else None
    )
    render(incident, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
def test_everything_essential_is_there_and_fits(incident: Incident, width: int) -> None:
    """No fact is lost in a narrow terminal; a wide one is not filled to its edge."""
    text = printed(incident, width)
    missing = [fact for fact in ESSENTIAL if fact not in text]
    assert missing == []
    assert max(map(len, text.splitlines())) <= min(width, 110)
    assert "\x1b" not in text


def test_large_numbers_are_not_broken_in_a_narrow_terminal(incident: Incident) -> None:
    """A count cut in two would be read as two counts."""
    origin = incident.case.origin
    assert origin is not None
    tensor = replace(
        origin.operation.inputs[0],
        name="model.encoder.layers.11.self_attn.q_proj.weight",
        shape=(64, 3, 256, 256),
        num_zero=12582910,
        num_nan=3000000,
        min=-3.3895e38,
        max=1.234e-30,
    )
    wide = replace(origin, operation=replace(origin.operation, inputs=(tensor,)))
    text = printed(replace(incident, case=replace(incident.case, origin=wide)), 80)
    for number in ("-3.4e38", "1.2e-30", "12,582,910", "3,000,000"):
        assert number in text, number
    assert tensor.name in text


def test_colour_adds_nothing_but_colour(incident: Incident) -> None:
    """Without the escapes the words are the same."""
    assert "\x1b[" in printed(incident, 80, color=True)


def test_a_very_narrow_terminal_loses_no_word_of_the_advice(incident: Incident) -> None:
    """Lines fold, they are not cut."""
    text = "".join(printed(incident, 40).split())
    assert "".join(incident.advice[0].text.split()) in text.replace("|", "")


def test_markup_in_names_is_shown_and_not_obeyed(incident: Incident) -> None:
    """Brackets are part of tensor names and source lines."""
    cause = replace(incident.causes[0], text="batch[red] [/oops] :smile:")
    assert "batch[red] [/oops] :smile:" in printed(replace(incident, causes=(cause,)), 80)


def test_markup_in_the_name_of_an_operation_is_shown_too(incident: Incident) -> None:
    """Also in the tables."""
    origin = incident.case.origin
    assert origin is not None
    odd = replace(origin, operation=replace(origin.operation, function="[bold]log[/]"))
    text = printed(replace(incident, case=replace(incident.case, origin=odd)), 120)
    assert "[bold]log[/] in" in text


def test_a_step_that_could_not_be_repeated_is_told(bare: Incident) -> None:
    """The headline, and that the operation is not known."""
    text = printed(bare, 80)
    assert "step 0: the gradient of head.weight is not finite, and 1 more" in text
    assert "was not found" in text
    assert "not reproduced (the loop takes its data in its own way)" in text


def test_a_diff_is_coloured_by_line(incident: Incident) -> None:
    """Green comes, red goes; headers are neither."""
    diff = "--- a/t.py\n+++ b/t.py\n@@ -1 +1 @@\n-old\n+new\n"
    text = printed(replace(incident, advice=(replace(incident.advice[0], diff=diff),)), 80, color=True)
    assert "\x1b[31m-old" in text
    assert "\x1b[32m+new" in text
    assert "\x1b[1m--- a/t.py" in text


def test_the_patch_is_among_the_files(incident: Incident) -> None:
    """So that it is found."""
    assert "evenkeel-runs/x/fix.patch" in printed(replace(incident, patch="evenkeel-runs/x/fix.patch"), 80)
