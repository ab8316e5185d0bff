"""`Guard.batches`: the same faults are caught and located in a loop with one changed line."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode
from torch.utils.data import DataLoader, TensorDataset

import evenkeel

Stopped = pytest.ExceptionInfo[evenkeel.TrainingStopped]
HERE = Path(__file__)


def line_of(mark: str) -> int:
    """The number of the line in this file that ends with `# origin: MARK`."""
    lines = [n for n, line in enumerate(HERE.read_text().splitlines(), 1) if line.endswith(f"# origin: {mark}")]
    assert len(lines) == 1
    return lines[0]


class Setup:
    """A small model with BatchNorm and dropout, an optimizer, a loader; row 21 of the data may be bad."""

    def __init__(self, bad: float | None = None, batch_size: int = 4) -> None:
        torch.manual_seed(0)
        x = torch.rand(40, 3) + 0.5
        if bad is not None:
            x[21] = bad
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.01)
        self.loader = DataLoader(TensorDataset(x), batch_size=batch_size)

    def step(self, loss: torch.Tensor) -> None:
        """Backward and update."""
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def bits(self) -> list[torch.Tensor]:
        """Every parameter, buffer and optimizer state, and the random state."""
        moments = [v for state in self.optimizer.state.values() for v in state.values()]
        return [t.clone() for t in (*self.model.state_dict().values(), *moments, torch.get_rng_state())]


LossOf = Callable[[Setup, torch.Tensor], torch.Tensor]


def log_loss(setup: Setup, x: torch.Tensor) -> torch.Tensor:
    """A forward failure at 0."""
    return (setup.model(x) - torch.log(x.sum(1, keepdim=True))).square().mean()  # origin: log


def root_loss(setup: Setup, x: torch.Tensor) -> torch.Tensor:
    """A failure of the backward pass alone at 0."""
    width = setup.model[0](x).sum(1) - setup.model[0].bias.sum()
    return setup.model(x).square().mean() + torch.sqrt(width.square()).mean()  # origin: root


def assert_located(
    guard: evenkeel.Guard, stop: Stopped, mark: str, *, step: int, phase: str, reproduced: bool = True
) -> None:
    """The incident names the step, the phase and the marked line of this file."""
    case = guard.incident.case
    assert stop.value.step == step
    assert stop.value.code == 3
    assert (case.step, case.phase, case.reproduced) == (step, phase, reproduced)
    place = case.origin.operation.place
    assert (Path(place.file), place.line) == (HERE, line_of(mark))


def same_bits(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    """Whether all tensors are equal, one NaN being as good as another."""
    pairs = zip(some, others, strict=True)
    return all(torch.allclose(a.double(), b.double(), rtol=0, atol=0, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize(
    ("loss_of", "mark", "phase"),
    [(log_loss, "log", "forward"), (root_loss, "root", "backward")],
    ids=["forward", "backward"],
)
def test_fault_is_located(
    loss_of: LossOf, mark: str, phase: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 21 is in batch 5; its update is withheld."""
    setup = Setup(bad=0.0)
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)

    def train() -> None:
        for (x,) in guard.batches(setup.loader):
            setup.step(loss_of(setup, x))

    with pytest.raises(evenkeel.TrainingStopped) as stop:
        train()
    assert_located(guard, stop, mark, step=5, phase=phase)
    assert (tmp_path / "incident.json").exists()
    assert all(p.isfinite().all() for p in setup.model.parameters())


def test_accumulated_step_is_located(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four micro-batches of two rows: row 21 is in micro-batch 10, so in step 2."""
    setup = Setup(bad=0.0, batch_size=2)
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)

    def train() -> None:
        for i, (x,) in enumerate(guard.batches(setup.loader)):
            (log_loss(setup, x) / 4).backward()
            if i % 4 == 3:
                setup.optimizer.step()
                setup.optimizer.zero_grad()

    with pytest.raises(evenkeel.TrainingStopped) as stop:
        train()
    assert_located(guard, stop, "log", step=2, phase="forward")


def test_healthy_loop_keeps_every_bit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two epochs with and without the guard end with the same bits, and nothing is printed."""
    ends = []
    for watched in (False, True):
        setup = Setup()
        guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path / "out") if watched else None
        for _epoch in range(2):
            for (x,) in guard.batches(setup.loader) if guard else setup.loader:
                setup.step(log_loss(setup, x))
        ends.append(setup.bits())
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    assert guard.incident is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["journal-rank0.jsonl"]
    assert capsys.readouterr() == ("", "")


def test_loop_may_be_left_and_entered_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Steps go on counting: 3 batches, then all from the start, and the bad one is the sixth of those."""
    setup = Setup(bad=0.0)
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)
    for i, (x,) in enumerate(guard.batches(setup.loader)):
        setup.step(log_loss(setup, x))
        if i == 2:
            break

    def train() -> None:
        for (x,) in guard.batches(setup.loader):
            setup.step(log_loss(setup, x))

    with pytest.raises(evenkeel.TrainingStopped) as stop:
        train()
    assert_located(guard, stop, "log", step=8, phase="forward")


def test_loop_left_right_after_the_bad_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The batches come again when the loop is entered the next time."""
    setup = Setup(bad=0.0)
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)

    def train() -> None:
        for _epoch in range(3):
            for (x,) in itertools.islice(guard.batches(setup.loader), 6):
                setup.step(log_loss(setup, x))

    with pytest.raises(evenkeel.TrainingStopped) as stop:
        train()
    assert_located(guard, stop, "log", step=5, phase="forward")


@pytest.mark.parametrize("when", ["before the loss", "after the update"])
def test_validation_loop_inside(when: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A nested loop over other batches in eval mode, longer than what is kept of it, does not disturb."""
    setup = Setup(bad=0.0)
    validation = DataLoader(TensorDataset(torch.rand(24, 3)), batch_size=2)
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)

    def validate() -> None:
        setup.model.eval()
        with torch.no_grad():
            assert sum(len(setup.model(x)) for (x,) in guard.batches(validation)) == 24
        setup.model.train()

    def train() -> None:
        for (x,) in guard.batches(setup.loader):
            if when == "before the loss":
                validate()
            setup.step(log_loss(setup, x))
            if when == "after the update":
                validate()

    with pytest.raises(evenkeel.TrainingStopped) as stop:
        train()
    assert_located(guard, stop, "log", step=5, phase="forward")


def test_observe_goes_on_as_without_us(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The bad update is made as it was, NaN included, and a schedule advances once for each step."""
    ends = []
    for watched in (False, True):
        setup = Setup(bad=0.0)
        schedule = torch.optim.lr_scheduler.ExponentialLR(setup.optimizer, 0.9)
        guard = evenkeel.Guard(setup.model, setup.optimizer, policy="observe", out=tmp_path / str(watched))
        for (x,) in guard.batches(setup.loader) if watched else setup.loader:
            setup.step(log_loss(setup, x))
            schedule.step()
        ends.append([*setup.bits(), torch.tensor(schedule.get_last_lr())])
    assert same_bits(*ends)
    assert ends[0][0].isnan().any()
    assert guard.incident.case.step == 5
    assert guard.incident.case.reproduced


def test_nothing_of_ours_stays_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After the incident neither hooks nor modes are left: the model trains on without a guard."""
    setup = Setup(bad=0.0)
    backward = torch.autograd.backward
    guard = evenkeel.Guard(setup.model, setup.optimizer, out=tmp_path)

    def train() -> None:
        for (x,) in guard.batches(setup.loader):
            setup.step(log_loss(setup, x))

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    assert torch.autograd.backward is backward
    assert _get_current_dispatch_mode() is None
    num_lines = len((tmp_path / "journal-rank0.jsonl").read_text().splitlines())
    setup.step(setup.model(torch.rand(4, 3)).mean())
    assert len((tmp_path / "journal-rank0.jsonl").read_text().splitlines()) == num_lines


@pytest.mark.parametrize("by", ["batches", "step"])
def test_a_guard_where_all_loops_are_watched_stands_aside(by: str, tmp_path: Path) -> None:
    """A second one would have each bad step come again as well, and write an incident of its own about it."""
    setup = Setup(bad=0.0)
    inner = evenkeel.Guard(setup.model, setup.optimizer, policy="skip", out=tmp_path / "inner")

    def train_on(batch: list[torch.Tensor]) -> None:
        setup.step(log_loss(setup, batch[0]))

    loop = {"batches": lambda: [*map(train_on, inner.batches(setup.loader))]}
    loop["step"] = lambda: [inner.step(train_on, batch) for batch in setup.loader]
    outer = evenkeel.Guard(out=tmp_path / "outer")
    with pytest.raises(evenkeel.TrainingStopped), outer.loops():
        loop[by]()
    assert outer.incident is not None
    assert (outer.incident.case.reproduced, outer.incident.case.step) == (True, 5)
    assert inner.incident is None
    assert not (tmp_path / "inner" / "incident.json").exists()
