"""Programs that really fail, each with a healthy neighbour: the first cause, its family, the phase and the step."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch import distributed as dist

import evenkeel
from evenkeel.core.incident import Incident

LossOf = Callable[[Tensor], Tensor]
TIME_LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def quiet(capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Reports go to stderr; the random state begins alike."""
    torch.manual_seed(0)
    yield
    capsys.readouterr()


@pytest.fixture
def alone_in_a_group() -> Iterator[None]:
    """A group of one rank."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.fixture
def deterministic() -> Iterator[None]:
    """Memory that nobody wrote is filled with NaN."""
    torch.use_deterministic_algorithms(mode=True)
    yield
    torch.use_deterministic_algorithms(mode=False)


def trained(
    out: Path,
    model: nn.Module,
    loss_of: LossOf,
    batches: Iterable[Tensor],
    *,
    rate: float = 1e-3,
    clip: float | None = None,
    after: Callable[[int], None] | None = None,
) -> Incident | None:
    """Train under a guard; the incident that stopped it, or None. `after` runs behind each update."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    guard = evenkeel.Guard(model, optimizer, out=out, experiments=False, capsules=False)
    with suppress(evenkeel.TrainingStopped):
        for step, batch in enumerate(guard.batches(list(batches))):
            optimizer.zero_grad()
            loss_of(batch).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            if after is not None:
                after(step)
    return guard.incident


def told(incident: Incident | None) -> tuple[str, str, str, int]:
    """Code and family of the first cause, phase and step."""
    assert incident is not None
    first = incident.causes[0]
    return first.code, first.family, incident.case.phase, incident.case.step


def names(incident: Incident | None) -> list[str]:
    """All causes, best first."""
    assert incident is not None
    return [cause.name for cause in incident.causes]


class Recurrent(nn.Module):
    """One linear map, repeated for each entry of a sequence."""

    def __init__(self, factor: float, bound: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.repeated = nn.Linear(4, 4, bias=False)
        self.bound = bound
        with torch.no_grad():
            self.repeated.weight.copy_(factor * torch.eye(4))

    def forward(self, sequence: Tensor) -> Tensor:
        state = torch.zeros(len(sequence), 4)
        for t in range(sequence.shape[1]):
            state = self.bound(sequence[:, t] + self.repeated(state))
        return state


def sequences(*lengths: int) -> list[Tensor]:
    """Batches of sequences of these lengths."""
    return [torch.randn(3, length, 4) for length in lengths]


def test_state_that_grows_with_each_repetition(tmp_path: Path) -> None:
    """3^90 is beyond float32; sequences of 10 are not."""
    model = Recurrent(3.0, nn.Identity())
    incident = trained(tmp_path, model, lambda x: model(x).abs().log1p().mean(), sequences(10, 10, 90), rate=1e-12)
    assert told(incident) == ("EK255", "dynamics", "forward", 2)
    assert "grew 3 times with each of the last" in incident.causes[0].text


def test_gradient_that_grows_with_each_repetition(tmp_path: Path) -> None:
    """The state is bounded by the sine, the gradient is not."""
    model = Recurrent(8.0, torch.sin)
    incident = trained(tmp_path, model, lambda x: model(x).square().mean(), sequences(8, 8, 90), rate=1e-14)
    assert told(incident) == ("EK255", "dynamics", "backward", 2)
    assert incident.causes[0].text.startswith("The gradient grew")


def test_repetition_that_does_not_stretch_is_healthy(tmp_path: Path) -> None:
    """The same loop with an identity in place of 3 times it."""
    model = Recurrent(0.95, nn.Identity())
    assert trained(tmp_path, model, lambda x: model(x).square().mean(), sequences(10, 90)) is None


def scaled_targets(size: float) -> list[Tensor]:
    """Inputs of ordinary size, of which one batch is multiplied by `size`."""
    batches = [torch.randn(16, 3) for _ in range(14)]
    batches[10] = size * batches[10]
    return batches


def fourth_power(model: nn.Module) -> LossOf:
    """A loss that a large weight drives out of the range."""
    return lambda x: (model(x) - x.sum(1, keepdim=True)).square().square().mean()


def test_spike_of_the_gradient_some_steps_before(tmp_path: Path) -> None:
    """Step 10 throws the weights out; the bound of the clipping is never reached."""
    model = nn.Linear(3, 1)
    incident = trained(tmp_path, model, fourth_power(model), scaled_targets(3e3), rate=1e-3, clip=1e30)
    assert told(incident) == ("EK256", "dynamics", "forward", 11)
    assert "The update of step 10, 1 step before the failure" in incident.causes[0].text


def test_spike_that_is_clipped_is_healthy(tmp_path: Path) -> None:
    """The same batches with a bound near the usual norm."""
    model = nn.Linear(3, 1)
    assert trained(tmp_path, model, fourth_power(model), scaled_targets(3e3), rate=1e-3, clip=1.0) is None


def test_norm_that_overflows_though_every_gradient_is_finite(tmp_path: Path) -> None:
    """Its squares do; nothing is said of infinite gradients or of NaN."""
    model = nn.Linear(2, 1)
    incident = trained(tmp_path, model, lambda x: 4.8e26 * model(x).sum(), [torch.ones(4, 2)], clip=1.0)
    assert told(incident)[:2] == ("EK272", "precision")
    assert incident is not None
    assert incident.causes[0].text.startswith("Every gradient is finite")


def network() -> nn.Sequential:
    """A layer, a normalisation, a layer."""
    return nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 1))


@pytest.mark.parametrize(("name", "index"), [("2.weight", (0, 3)), ("1.running_var", (2,))])
def test_state_that_was_loaded_bad(name: str, index: tuple[int, ...], tmp_path: Path) -> None:
    """One entry among proper ones, in a model that has seen batches before."""
    model = network()
    model(torch.randn(8, 3))
    model.eval()
    model.state_dict()[name][index] = torch.nan
    incident = trained(tmp_path, model, lambda x: model(x).square().mean(), [torch.randn(8, 3)] * 2)
    assert told(incident) == ("EK262", "state", "state", 0)
    assert f"{name} held 1 NaN among 6 elements when training began" in incident.causes[0].text


def test_memory_never_initialised_is_not_taken_for_a_checkpoint(deterministic: None, tmp_path: Path) -> None:
    """The neighbour: a parameter of which every entry is bad."""
    model = network()
    model[2].weight = nn.Parameter(torch.empty(1, 6))
    incident = trained(tmp_path, model, lambda x: model(x).square().mean(), [torch.randn(8, 3)] * 2)
    assert told(incident) == ("EK252", "dynamics", "state", 0)


def test_state_that_is_finite_is_healthy(tmp_path: Path) -> None:
    """The neighbour of what was loaded bad."""
    model = network()
    assert trained(tmp_path, model, lambda x: model(x).square().mean(), [torch.randn(8, 3)] * 2) is None


def taught(out: Path, moved_by: float, *, in_one_module: bool = True) -> Incident | None:
    """Train a student against a teacher that follows it; in step 2 the teacher moves by something else."""
    student, teacher = nn.Linear(3, 2), nn.Linear(3, 2).requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    pair = nn.ModuleDict({"student": student, "teacher": teacher}) if in_one_module else (student, teacher)
    guard = evenkeel.Guard(pair, optimizer, out=out)
    with suppress(evenkeel.TrainingStopped):
        for step, x in enumerate(guard.batches([torch.randn(8, 3) for _ in range(6)])):
            optimizer.zero_grad()
            (student(x) - teacher(x)).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                    slow.mul_(0.9).add_(fast * (moved_by if step == 2 else 1.0), alpha=0.1)
    return guard.incident


def test_average_that_took_in_a_bad_value(tmp_path: Path) -> None:
    """The teacher is bad from step 3 on, the student never is."""
    incident = taught(tmp_path, torch.nan)
    assert told(incident) == ("EK263", "state", "state", 3)
    assert "teacher." in incident.causes[0].text
    assert "while the 2 parameters in training are finite" in incident.causes[0].text


def test_average_that_stays_finite_is_healthy(tmp_path: Path) -> None:
    """The neighbour."""
    assert taught(tmp_path, 1.0) is None


def test_teacher_of_the_same_class_as_its_student(tmp_path: Path) -> None:
    """Which of the two is updated is a matter of the tensors, not of their names."""
    assert told(taught(tmp_path, torch.nan, in_one_module=False)) == ("EK263", "state", "state", 3)


def test_average_that_took_in_an_infinity(tmp_path: Path) -> None:
    """No parameter is a mask."""
    assert told(taught(tmp_path, torch.inf)) == ("EK263", "state", "state", 3)


def half_loss(model: nn.Module, factors: Iterable[float]) -> LossOf:
    """A network under float16 autocast, and a loss that is multiplied by one factor each step."""
    remaining = iter(factors)

    def loss_of(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.float16):
            predicted = model(x)
        return predicted.float().square().mean() * next(remaining)

    return loss_of


def test_gradient_that_overflows_float16(tmp_path: Path) -> None:
    """The forward pass is the same in each step; the factor of the loss is not."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    loss_of = half_loss(model, [1.0, 1.0, 2.0**22, 2.0**22, 2.0**22])
    incident = trained(tmp_path, model, loss_of, [torch.randn(8, 3)] * 3, rate=1e-6)
    assert told(incident) == ("EK274", "precision", "backward", 2)
    assert "the loss scale is 4.2e6" in incident.causes[0].text


def test_forward_that_overflows_float16_is_another_cause(tmp_path: Path) -> None:
    """The neighbour: activations beyond 65,504."""
    model = nn.Linear(3, 1)
    with torch.no_grad():
        model.weight.fill_(3e4)
    incident = trained(tmp_path, model, half_loss(model, [1.0] * 4), [torch.full((4, 3), 3.0)], rate=1e-6)
    assert told(incident) == ("EK223", "range", "forward", 0)


def test_gradient_within_float16_is_healthy(tmp_path: Path) -> None:
    """The same network with a factor that fits."""
    model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))
    assert trained(tmp_path, model, half_loss(model, [1024.0] * 3), [torch.randn(8, 3)] * 3, rate=1e-9) is None


@pytest.mark.parametrize("num_valid", [0, 3])
def test_count_over_all_ranks_is_zero(num_valid: int, alone_in_a_group: None, tmp_path: Path) -> None:
    """0/0, where the count came out of all_reduce."""
    model = nn.Linear(3, 1)

    def loss_of(x: Tensor) -> Tensor:
        valid = (torch.arange(8) < num_valid).float()
        count = valid.sum()
        dist.all_reduce(count)
        return (model(x).squeeze(1).square() * valid).sum() / count

    incident = trained(tmp_path, model, loss_of, [torch.randn(8, 3)] * 2)
    if num_valid:
        assert incident is None
    else:
        assert told(incident) == ("EK282", "distributed", "forward", 0)


@pytest.mark.parametrize("size", [200.0, 1.0])
def test_infinity_that_was_replaced_overflows_later(size: float, tmp_path: Path) -> None:
    """An exp gives inf, its replacement is 3.4e38, and the square of that is inf again."""
    model = nn.Linear(3, 1)

    def loss_of(x: Tensor) -> Tensor:
        grown = torch.exp(size + model(x))
        return torch.nan_to_num(grown).square().mean()

    incident = trained(tmp_path, model, loss_of, [torch.zeros(8, 3)] * 2)
    if size == 1.0:
        assert incident is None
    else:
        assert told(incident) == ("EK291", "masking", "forward", 0)
        assert "was born in exp" in incident.causes[0].text


def test_nan_that_was_replaced_comes_back_in_the_gradient(tmp_path: Path) -> None:
    """The root of a negative number comes first, the replacement is told below it."""
    model = nn.Linear(3, 1)

    def loss_of(x: Tensor) -> Tensor:
        return torch.nan_to_num(torch.sqrt(model(x))).square().mean()

    incident = trained(tmp_path, model, loss_of, [torch.randn(16, 3)] * 2)
    assert names(incident) == ["root_of_negative", "hidden_by_replacement"]


def test_comparison_with_nan_is_told_below_the_root(tmp_path: Path) -> None:
    """The guard selects nothing; where() with isnan is no such guard."""
    model = nn.Linear(3, 1)

    def loss_of(x: Tensor, *, is_nan: Callable[[Tensor], Tensor]) -> Tensor:
        root = torch.sqrt(torch.relu(model(x)) * 0.0)
        return torch.where(is_nan(root), torch.zeros_like(root), root).mean()

    batches = [torch.randn(16, 3)] * 2
    incident = trained(tmp_path / "a", model, lambda x: loss_of(x, is_nan=lambda y: y == torch.nan), batches)
    assert names(incident)[0] == "root_gradient_at_zero"
    assert "guard_that_cannot_fire" in names(incident)[1:]
    works = trained(tmp_path / "b", model, lambda x: loss_of(x, is_nan=torch.isnan), batches)
    assert "guard_that_cannot_fire" not in names(works)


def test_eps_outside_of_the_root_is_told_below_it(tmp_path: Path) -> None:
    """Inside it is healthy."""
    model, eps = nn.Linear(3, 1), 1e-6

    def outside(x: Tensor) -> Tensor:
        return (torch.sqrt(0.0 * model(x).square()) + eps).mean()

    def inside(x: Tensor) -> Tensor:
        return torch.sqrt(0.0 * model(x).square() + eps).mean()

    incident = trained(tmp_path / "a", model, outside, [torch.randn(16, 3)] * 2)
    assert "guard_that_cannot_fire" in names(incident)[1:]
    assert trained(tmp_path / "b", model, inside, [torch.randn(16, 3)] * 2) is None


@pytest.mark.parametrize("make", [torch.empty_like, torch.zeros_like])
def test_memory_that_nobody_wrote(make: Callable[[Tensor], Tensor], deterministic: None, tmp_path: Path) -> None:
    """Weights of which only the valid ones are set."""
    model = nn.Linear(3, 1)

    def loss_of(x: Tensor) -> Tensor:
        error = model(x).square()
        weights = make(error)
        weights[x[:, :1] > 0] = 1.0
        return (weights.detach() * error).mean()

    incident = trained(tmp_path, model, loss_of, [torch.randn(16, 3)] * 2)
    if make is torch.zeros_like:
        assert incident is None
    else:
        assert told(incident) == ("EK296", "hardware", "forward", 0)


CENTRED = """
import torch
torch.manual_seed(0)
weight = torch.nn.Parameter(torch.randn(3, 4))
optimizer = torch.optim.RMSprop([weight], lr=1e-3, alpha=0.5, centered=CENTERED)
slope = 100 * torch.rand(3, 4)
for step in range(40):
    loss = (weight * slope).sum()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
IN_HALF = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1).half()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, eps=EPS)
for step in range(4):
    loss = 0.01 * model(torch.randn(16, 4).half()).float().square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
LOADED = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
def kept(like):
    return {"step": torch.tensor(100.0), "exp_avg": torch.full_like(like, VALUE), "exp_avg_sq": torch.ones_like(like)}
saved = optimizer.state_dict()
saved["state"] = {0: kept(model.weight), 1: kept(model.bias)}
optimizer.load_state_dict(saved)
for step in range(3):
    loss = model(torch.randn(16, 4)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""
CLEARED = """
import torch
torch.manual_seed(0)
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.7)
for step in range(200):
    x = torch.randn(8, 4)
    loss = (model(x) - x.sum(1, keepdim=True)).square().mean()
    CLEARED; loss.backward(); optimizer.step()
"""


@pytest.mark.parametrize(
    ("program", "expected", "step"),
    [
        (CENTRED.replace("CENTERED", "True"), ("EK254", "dynamics", "optimizer"), 22),
        (IN_HALF.replace("EPS", "1e-8"), ("EK273", "precision", "optimizer"), 0),
        (LOADED.replace("VALUE", 'float("nan")'), ("EK264", "state", "state"), 0),
        (CLEARED.replace("CLEARED", "pass"), ("EK257", "dynamics", "forward"), 152),
    ],
    ids=["centred", "in half", "optimizer's state", "not cleared"],
)
@pytest.mark.timeout(90)
def test_failure_that_a_child_process_traces(
    program: str, expected: tuple[str, str, str], step: int, tmp_path: Path
) -> None:
    """These are traced in a child process, from the start of the program."""
    incident = supervised(program, tmp_path)
    assert incident["reproduced"]
    assert (incident["cause"]["code"], incident["cause"]["family"], incident["phase"]) == expected
    assert incident["step"] == step


@pytest.mark.parametrize(
    "program",
    [
        CENTRED.replace("CENTERED", "False"),
        IN_HALF.replace("EPS", "1e-4"),
        LOADED.replace("VALUE", "0.0"),
        CLEARED.replace("CLEARED", "optimizer.zero_grad()"),
    ],
    ids=["not centred", "larger eps", "good state", "cleared"],
)
def test_neighbours_of_these_are_healthy(program: str) -> None:
    """The same programs with one thing right."""
    scope: dict[str, Any] = {}
    exec(compile(program, "program.py", "exec"), scope)  # noqa: S102 - a program of this file
    parameters = [scope["weight"]] if "weight" in scope else list(scope["model"].parameters())
    assert all(bool(torch.isfinite(p).all()) for p in parameters)


def supervised(program: str, directory: Path) -> dict[str, Any]:
    """The incident of a program under `evenkeel run`."""
    script, out = directory / "program.py", directory / "out"
    script.write_text(program)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "evenkeel", "run", "--no-experiments", "--out", str(out), str(script)],
        env={**environment, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode == 3, done.stderr.decode()[-2000:]
    incident: dict[str, Any] = json.loads((out / "incident.json").read_text())
    return incident
