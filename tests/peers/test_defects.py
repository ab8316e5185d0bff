"""Where other tools are wrong or silent: each of their reproduced defects is a case in which evenkeel is right.

The defects are described in the documents and issue threads of anomaly mode, DebugMode, Inductor's nan_asserts, the
detector and trainer of Transformers, Composer, fairseq, OLMo-core, msProbe and TrainCheck.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import evenkeel
from evenkeel.core.incident import Incident

HERE = Path(__file__)


def line_of(mark: str) -> int:
    """The number of the line in this file that ends with `# origin: MARK`."""
    lines = [n for n, line in enumerate(HERE.read_text().splitlines(), 1) if line.endswith(f"# origin: {mark}")]
    assert len(lines) == 1, mark
    return lines[0]


@dataclass
class ModelOutput:
    """What many models return: named fields, some of them empty."""

    logits: Tensor
    hidden: dict[str, Tensor]
    loss: Tensor | None = None


Loss = Callable[[nn.Module, Tensor], Tensor]


def play(out: Path, loss_of: Loss, x: Tensor, *, steps: int = 3, model: nn.Module | None = None) -> Incident | None:
    """Train for some steps on the same batch; the incident, when there was one."""
    net = model or nn.Linear(x.shape[-1], x.shape[-1])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    guard = evenkeel.Guard(net, optimizer, out=out, experiments=False, capsules=False)
    try:
        for batch in guard.batches([x] * steps):
            optimizer.zero_grad()
            loss_of(net, batch).backward()
            optimizer.step()
    except evenkeel.TrainingStopped:
        assert guard.incident is not None
    return guard.incident


def assert_origin(incident: Incident | None, mark: str, phase: str) -> None:
    """The line is that of the mark, and the step came again to the bit."""
    assert incident is not None
    case = incident.case
    assert (case.step, case.phase, case.reproduced) == (0, phase, True)
    assert case.origin is not None
    assert case.origin.operation.place is not None
    assert (Path(case.origin.operation.place.file), case.origin.operation.place.line) == (HERE, line_of(mark))


def identity(size: int) -> nn.Linear:
    """A layer that hands its input on."""
    layer = nn.Linear(size, size, bias=False)
    nn.init.eye_(layer.weight)
    return layer


def nested_roots(net: nn.Module, x: Tensor) -> Tensor:
    """Anomaly mode blames the second root."""
    inner = torch.sqrt(net(x) - 2.0)  # origin: inner root
    return torch.sqrt(inner).sum()


def test_first_of_two_roots_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`sqrt(sqrt(x - 2))` at x = 1: the first root made the NaN."""
    assert_origin(play(tmp_path, nested_roots, torch.ones(2, 3), model=identity(3)), "inner root", "forward")


def log_of_negative(net: nn.Module, x: Tensor) -> Tensor:
    """The loss is NaN and every gradient is finite: a check of gradients sees nothing."""
    return torch.log(-net(x)).sum()  # origin: log


def test_bad_value_with_finite_gradients(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anomaly mode is silent: 1/x is finite."""
    assert_origin(play(tmp_path, log_of_negative, torch.ones(2, 3), model=identity(3)), "log", "forward")


def test_nan_that_where_throws_away(tmp_path: Path) -> None:
    """Forward NaN in the branch not taken, gradients right: no incident."""

    def masked(net: nn.Module, x: Tensor) -> Tensor:
        h = net(x)
        bad = torch.full_like(h, torch.nan)
        return torch.where(h > 0, h, bad.detach()).nansum() + torch.where(h > 0, torch.log(h.detach()), 0.0).sum()

    assert play(tmp_path, masked, torch.tensor([[1.0, -1.0]]), model=identity(2)) is None


def root_of_zero(net: nn.Module, x: Tensor) -> Tensor:
    """The gradient is inf, not NaN."""
    return torch.sqrt(net(x)).sum()  # origin: root of zero


def test_infinite_gradient_without_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anomaly mode looks for NaN alone."""
    x = torch.tensor([[1.0, 0.0]])
    incident = play(tmp_path, root_of_zero, x, model=nn.Sequential(Shift(2)))
    assert_origin(incident, "root of zero", "backward")


class Shift(nn.Module):
    """Adds a learned vector that begins at 0."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.by


class InMapping(nn.Module):
    """Returns a mapping inside a dataclass inside a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = Shift(2)

    def forward(self, x: Tensor) -> tuple[ModelOutput, None]:
        h = self.shift(x)
        return ModelOutput(logits=h, hidden={"log": torch.log(h)}), None  # origin: mapping


def test_bad_value_inside_a_mapping(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A detector that hooks module outputs does not look inside a ModelOutput or a dict."""

    def read(net: nn.Module, x: Tensor) -> Tensor:
        output, _ = net(x)
        return output.hidden["log"].sum() + output.logits.sum()

    incident = play(tmp_path, read, torch.tensor([[1.0, 0.0]]), model=InMapping())
    assert_origin(incident, "mapping", "forward")
    assert incident.case.origin.module == "InMapping"


def test_infinite_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A monitor that asks `isnan(loss)` lets +inf pass."""

    def overflow(net: nn.Module, x: Tensor) -> Tensor:
        return torch.exp(net(x)).sum()

    incident = play(tmp_path, overflow, torch.full((1, 2), 100.0), model=nn.Sequential(Shift(2)))
    assert incident is not None
    assert incident.case.symptom.value == float("inf")


def attention(net: nn.Module, x: Tensor) -> Tensor:
    """A causal mask of -inf."""
    scores = net(x)
    mask = torch.triu(torch.full((3, 3), -torch.inf), diagonal=1)
    filled = scores.masked_fill(torch.ones(3, 3).triu(1).bool(), -torch.inf)
    return (torch.softmax(scores + mask, dim=-1) * x).sum() + F.softmax(filled, dim=-1).square().sum()


@pytest.mark.parametrize("seed", range(5))
def test_healthy_mask_of_infinities(seed: int, tmp_path: Path) -> None:
    """msProbe, the Transformers detector and Inductor's asserts raise an alarm; so does a check on other seeds."""
    torch.manual_seed(seed)
    assert play(tmp_path, attention, torch.randn(3, 3), steps=20) is None


def test_replay_puts_random_states_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A re-run that draws other numbers does not meet the same failure: one dropout mask in 64 keeps nothing."""

    def rarely(net: nn.Module, x: Tensor) -> Tensor:
        return net(x).sum() / F.dropout(torch.ones(6), 0.5).sum()

    torch.manual_seed(0)
    incident = play(tmp_path, rarely, torch.ones(1, 3), steps=3000)
    assert incident is not None
    assert incident.case.reproduced
    assert incident.case.step > 0


def test_two_nans_of_the_same_bits_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A comparison of hashes that calls two identical runs with a NaN different would never say `reproduced`."""

    def half_bad(net: nn.Module, x: Tensor) -> Tensor:
        return (torch.log(net(x)) * torch.tensor([torch.nan, 1.0])).sum()

    incident = play(tmp_path, half_bad, torch.ones(1, 2), model=identity(2))
    assert incident is not None
    assert incident.case.reproduced


def test_skipping_selects_and_does_not_multiply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A factor of 0 on a NaN gradient makes NaN of parameters and moments; and no NaN enters the history."""
    torch.manual_seed(0)
    net = nn.Linear(2, 1)
    optimizer = torch.optim.AdamW(net.parameters())
    guard = evenkeel.Guard(net, optimizer, out=tmp_path, policy=evenkeel.skip(at_most=1))
    good, bad = torch.ones(4, 2), torch.full((4, 2), torch.nan)
    for batch in guard.batches([good, good, bad, good, good]):
        optimizer.zero_grad()
        net(batch).square().mean().backward()
        optimizer.step()
    kept = [v for state in optimizer.state.values() for v in state.values()]
    assert len(kept) == 6
    assert all(t.isfinite().all() for t in (*net.parameters(), *kept))
    assert kept[0] == 4  # updates: the bad one is not counted
    assert guard.incident is not None
    assert all(torch.tensor(guard.incident.case.losses).isfinite())


def compiled_log(h: Tensor) -> Tensor:
    """A region that torch.compile turns into one call."""
    inner = h * 2.0
    outer = torch.log(inner)  # origin: compiled
    return (outer + 1.0).sum()


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # compilation itself looks at it
@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
def test_operation_inside_a_compiled_region(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Anomaly mode names `CompiledFunctionBackward` and the line of the call."""
    region = torch.compile(compiled_log, backend=backend)

    def step(net: nn.Module, x: Tensor) -> Tensor:
        return region(net(x))

    incident = play(tmp_path, step, torch.tensor([[1.0, 0.0]]), model=identity(2))
    assert_origin(incident, "compiled", "forward")


def test_backward_only_nan_has_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Others give an operation without a line; the masked root is finite in forward."""

    def masked_root(net: nn.Module, x: Tensor) -> Tensor:
        h = net(x)
        safe = torch.where(h > 0, torch.sqrt(h), 0.0)  # origin: masked root
        return safe.sum()

    x = torch.tensor([[1.0, 0.0]])
    incident = play(tmp_path, masked_root, x, model=nn.Sequential(Shift(2)))
    assert_origin(incident, "masked root", "backward")
    assert incident.case.symptom.kind == "gradient"


def test_trainer_that_logs_zero_for_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a trainer shows does not matter: the loss that backward starts from is judged."""
    logged: list[float] = []

    def filtered(net: nn.Module, x: Tensor) -> Tensor:
        loss = net(x).square().mean()
        logged.append(0.0 if loss.isnan() else float(loss.detach()))
        return loss

    x = torch.ones(40, 3)
    x[17, 1] = torch.nan
    incident = play(tmp_path, filtered, x)
    assert incident is not None
    assert logged[0] == 0.0
    assert (incident.case.phase, incident.case.origin.samples) == ("data", (17,))
