"""Which summand of the loss carries the bad value, named as the user names it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import evenkeel


def data() -> Tensor:
    """Twenty-four samples; one of them is 0."""
    torch.manual_seed(0)
    x = torch.rand(24, 3) + 0.5
    x[13] = 0.0
    return x


class Net(nn.Module):
    """Two layers without bias, so that 0 stays 0."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Linear(3, 3, bias=False)
        self.head = nn.Linear(3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def healthy(net: Net, h: Tensor) -> Tensor:
    """A term without trouble."""
    return (net.head(h) - 1).square().mean()


def root(h: Tensor) -> Tensor:
    """Finite at 0, and its slope is not."""
    return h.square().sum(dim=1).sqrt().mean()


def logarithm(h: Tensor) -> Tensor:
    """Infinite at 0."""
    return torch.log(h.square().sum(dim=1)).mean()


def sum_on_one_line(net: Net, x: Tensor) -> None:
    """Sum on one line."""
    h = net(x)
    beta = 0.1
    loss = healthy(net, h) + beta * root(h)
    loss.backward()


def three_with_a_constant(net: Net, x: Tensor) -> None:
    """Three with a constant."""
    h = net(x)
    loss = healthy(net, h) - 0.5 * root(h) + h.abs().mean() + 1.0
    loss.backward()


def over_several_lines(net: Net, x: Tensor) -> None:
    """Over several lines."""
    h = net(x)
    loss = (
        healthy(net, h)  # the fit
        + 0.1 * root(h)  # and the spread
    )
    loss.backward()


def added_in_place(net: Net, x: Tensor) -> None:
    """Added in place."""
    h = net(x)
    loss = healthy(net, h)
    loss += 0.1 * root(h)
    loss.backward()


def kept_in_a_mapping(net: Net, x: Tensor) -> None:
    """Kept in a mapping."""
    h = net(x)
    losses = {"fit": healthy(net, h), "spread": root(h)}
    total = sum(losses.values())
    total.backward()


def added_in_a_loop(net: Net, x: Tensor) -> None:
    """Added in a loop."""
    h = net(x)
    terms = [healthy(net, h), root(h)]
    total = torch.zeros(())
    for weight, term in zip((1.0, 0.1), terms, strict=True):
        total = total + weight * term
    total.backward()


def stacked(net: Net, x: Tensor) -> None:
    """Stacked."""
    h = net(x)
    torch.stack([healthy(net, h), root(h)]).mean().backward()


def averaged_by_sample(net: Net, x: Tensor) -> None:
    """Averaged by sample."""
    h = net(x)
    fit = (net.head(h) - 1).square().sum(dim=1)
    spread = h.square().sum(dim=1).sqrt()
    (fit + spread).mean().backward()


def combined(net: Net, h: Tensor) -> Tensor:
    """A loss function with a sum of its own."""
    return healthy(net, h) + 0.1 * root(h)


def inside_a_function(net: Net, x: Tensor) -> None:
    """Inside a function."""
    h = net(x)
    loss = combined(net, h) / 2 + h.abs().mean()
    loss.backward()


def two_backward_calls(net: Net, x: Tensor) -> None:
    """Two backward calls."""
    h = net(x)
    fit, spread = healthy(net, h), root(h)
    fit.backward(retain_graph=True)
    spread.backward()


def value_itself(net: Net, x: Tensor) -> None:
    """Value itself."""
    h = net(x)
    loss = healthy(net, h) + logarithm(h)
    loss.backward()


def scaled(net: Net, x: Tensor) -> None:
    """Scaled."""
    h = net(x)
    loss = healthy(net, h) + root(h)
    (loss * 1024.0 / 1024.0).backward()


def no_sum(net: Net, x: Tensor) -> None:
    """No sum."""
    loss = root(net(x))
    loss.backward()


Step = Callable[[Net, Tensor], None]
TERMS: list[tuple[Step, list[str], str | None]] = [
    (sum_on_one_line, ["healthy(net, h)", "beta * root(h)"], "beta * root(h)"),
    (three_with_a_constant, ["healthy(net, h)", "0.5 * root(h)", "h.abs().mean()"], "0.5 * root(h)"),
    (over_several_lines, ["healthy(net, h)", "0.1 * root(h)"], "0.1 * root(h)"),
    (added_in_place, ["loss", "0.1 * root(h)"], "0.1 * root(h)"),
    (kept_in_a_mapping, ["losses['fit']", "losses['spread']"], "losses['spread']"),
    (added_in_a_loop, ["terms[0]", "terms[1]"], "terms[1]"),
    (stacked, ["healthy(net, h)", "root(h)"], "root(h)"),
    (averaged_by_sample, ["fit", "spread"], "spread"),
    (inside_a_function, ["healthy(net, h)", "0.1 * root(h)", "h.abs().mean()"], "0.1 * root(h)"),
    (two_backward_calls, ["fit", "spread"], "spread"),
    (value_itself, ["healthy(net, h)", "logarithm(h)"], "logarithm(h)"),
    (scaled, ["healthy(net, h)", "root(h)"], "root(h)"),
    (no_sum, [], None),
]


def play(out: Path, step: Step) -> dict[str, Any]:
    """Train until the guard stops; what it wrote."""
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    guard = evenkeel.Guard(net, optimizer, out=out)

    def train() -> None:
        for (x,) in guard.batches(DataLoader(TensorDataset(data()), batch_size=8)):
            optimizer.zero_grad()
            step(net, x)
            optimizer.step()

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    return dict(json.loads((out / "incident.json").read_text()))


@pytest.mark.parametrize(("step", "names", "carrying"), TERMS, ids=lambda value: getattr(value, "__name__", ""))
def test_terms_are_found_and_named(
    step: Step, names: list[str], carrying: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them, and the one that carries the bad value."""
    told = play(tmp_path, step)
    assert [term["name"] for term in told["terms"]] == names
    assert told["origin"]["term"] == carrying
    assert [term["name"] for term in told["terms"] if not term["is_healthy"]] == ([carrying] if carrying else [])
    assert told["reproduced"]
    assert told["origin"]["samples"] == [5]
    assert f"{carrying} =" in " ".join(capsys.readouterr().err.split()) or carrying in {None, "spread"}


def test_the_table_is_whole() -> None:
    """Nothing was left out by mistake."""
    assert len(TERMS) == 13


def test_values_of_terms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they were at the failing step; one that is not finite is told as such."""
    told = play(tmp_path, value_itself)
    fit, bad = told["terms"]
    assert 0.0 < fit["value"] < 10.0
    assert bad["value"] == "-inf"
    assert bad["place"]["line"] == logarithm.__code__.co_firstlineno + 2


def test_two_terms_through_the_same_singular_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both carry it: each by itself is bad."""

    def shared(net: Net, x: Tensor) -> None:
        h = net(x)
        r = h.square().sum(dim=1).sqrt()
        loss = r.mean() + (r - 1).abs().mean() + healthy(net, h)
        loss.backward()

    told = play(tmp_path, shared)
    assert told["origin"]["term"] == "r.mean(), (r - 1).abs().mean()"


def test_only_one_term_reaches_the_singular_line_with_a_slope(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other one selects the sample away, so that its own gradient is finite."""

    def selecting(net: Net, x: Tensor) -> None:
        h = net(x)
        r = h.square().sum(dim=1).sqrt()
        loss = F.relu(r[:4] - 10).mean() + r.mean()
        loss.backward()

    told = play(tmp_path, selecting)
    by_name = {term["name"]: term["is_healthy"] for term in told["terms"]}
    assert by_name["r.mean()"] is False


def test_first_parameter_that_was_hit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Backward comes to the last layer first; the optimizer lists it last."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
    guard = evenkeel.Guard(net, optimizer, out=tmp_path)

    def train() -> None:
        for x in guard.batches([torch.ones(2, 3)]):
            h = net(x)
            (h - h.detach()).square().sum().sqrt().backward()
            optimizer.step()

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    symptom = guard.incident.case.symptom
    assert symptom.name == "0.weight"
    assert symptom.first in {"2.weight", "2.bias"}
    assert set(symptom.names) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert f"and 3 more, first {symptom.first}" in " ".join(capsys.readouterr().err.split())
