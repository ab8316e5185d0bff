"""A failing step of a run from the start, from the state of some updates earlier."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evenkeel.casefile.changes import attempts
from evenkeel.core.attempt import AttemptResult
from evenkeel.core.case import Case, Symptom
from evenkeel.core.incident import Incident
from evenkeel.rerun.rerun import Rerun

Program = Callable[..., Path]
Start = Callable[..., Rerun]

HEAD = """\
import torch
from torch import nn
torch.manual_seed(0)
x = torch.linspace(1, 10, 10)[:, None].repeat(40, 1)
model = nn.Linear(1, 1)
"""
LOOP = (
    HEAD
    + """
optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
for step in range(40):
    batch = x[10 * step : 10 * step + 10] + torch.rand(10, 1)
    print(step, batch.sum().item(), optimizer.param_groups[0]["lr"], flush=True)
    loss = (model(batch) - 3 * batch - 1).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
"""
)
DRIFTS = LOOP.replace("RATE", "0.5")
BAD_BATCH = LOOP.replace("RATE", "0.001").replace("model =", "x[253] = 1e30  # in step 25\nmodel =")
BY_HAND = (
    HEAD
    + """
for step in range(40):
    loss = (model(x[:10]) - 3 * x[:10] - 1).square().mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(model.parameters(), gradients):
            parameter -= 0.5 * gradient
"""
)


def from_earlier(rerun: Rerun, step: int) -> AttemptResult | str | None:
    """What came of it."""
    case = Case(step=step, phase="forward", symptom=Symptom(kind="loss", name="loss"), reproduced=True)
    incident = Incident(case=case)
    position = next(i for i, attempt in enumerate(attempts(incident)) if attempt.kind == "state")
    return rerun.attempt(incident, position)


def failing_step(directory: Path) -> int:
    """The first one whose loss is infinite, in a program run by itself."""
    seen: dict[str, list[float]] = {"losses": []}
    text = (
        (directory / "train.py").read_text().replace("loss.backward()", "loss.backward(); losses.append(loss.item())")
    )
    exec(compile(text, "train.py", "exec"), seen)  # noqa: S102  the program of this test
    return next(step for step, loss in enumerate(seen["losses"]) if loss == float("inf"))


def test_state_that_had_drifted(program: Program, start: Start, tmp_path: Path) -> None:
    """The same step is finite from a state of before, with its own batch, random numbers and learning rate."""
    directory = program(**{"train.py": DRIFTS})
    step = failing_step(directory)
    assert step in range(8, 20)
    result = from_earlier(start(), step)
    assert isinstance(result, AttemptResult), result
    assert result.healthy
    assert (result.name, result.proof.first, result.proof.last) == ("earlier snapshot", step, step)
    assert result.remedy == ""
    assert f"as they stood {step // 2} updates before" in result.changed
    (log,) = (tmp_path / "out" / "rerun").glob("*/output.log")
    plain = log.read_text().splitlines()
    assert [line.split()[0] for line in plain] == [str(i) for i in range(step + 1)]
    assert plain == printed(directory)[: step + 1]


def printed(directory: Path) -> list[str]:
    """Batches and rates of the program run by itself, which do not depend on its parameters."""
    said: list[str] = []
    seen = {"print": lambda *words, **_: said.append(" ".join(map(str, words)))}
    exec(compile((directory / "train.py").read_text(), "train.py", "exec"), seen)  # noqa: S102  as above
    return said


def test_batch_that_is_bad_from_any_state(program: Program, start: Start) -> None:
    """Ten updates earlier the step fails as well: its batch or an operation is at fault."""
    directory = program(**{"train.py": BAD_BATCH})
    assert failing_step(directory) == 25
    result = from_earlier(start(), 25)
    assert isinstance(result, AttemptResult), result
    assert not result.healthy
    assert result.proof.symptom is not None
    assert (result.proof.symptom.kind, result.proof.last) == ("loss", 24)
    assert "as they stood 10 updates before" in result.changed


def test_state_before_the_first_update(program: Program, start: Start) -> None:
    """Of step 1: it is kept at the first sign of step 0, when the model is there."""
    text = DRIFTS.replace(
        "\n    optimizer.zero_grad()", " / (1 if model.weight.abs().max() < 2 else 0)\n    optimizer.zero_grad()"
    )
    directory = program(**{"train.py": text})
    assert failing_step(directory) == 1
    result = from_earlier(start(), 1)
    assert isinstance(result, AttemptResult), result
    assert "1 update before" in result.changed
    assert result.healthy  # step 1 is; the one after it would fail again


def test_updates_by_hand(program: Program, start: Start) -> None:
    """There nothing tells where a step begins: nothing is learnt."""
    program(**{"train.py": BY_HAND})
    assert from_earlier(start(), 12) is None
