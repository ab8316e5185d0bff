"""Causes of operations in traces of real steps: tiny programs under `Guard`, each with a healthy neighbour."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.diagnose.real import programs
from tests.diagnose.real.programs import POINTS, PROGRAMS, Lengths, Program
from torch import Tensor, nn

import evenkeel

pytestmark = pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")  # what EK233 is about

FRAMES = torch.tensor([0.3, -0.2, 0.5, 0.1]).expand(5, 2, 4)  # steps, samples, symbols
IGNORED = torch.full((3,), -100)
CLASSIFIED = Program(loss=programs.classified, code="EK234", family="reduction", bad=POINTS, good=POINTS)
TRANSCRIBED = Program(loss=programs.transcribed, code="EK244", family="data", bad=FRAMES, good=FRAMES)


def watch(program: Program, out: Path, *batch: Tensor) -> tuple[evenkeel.Guard, Callable[[], None]]:
    """A guard, and two steps on that batch, whose first tensor is multiplied by a weight of 1."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-30)
    guard = evenkeel.Guard(model, optimizer, out=out, experiments=False, capsules=False)

    def train() -> None:
        for x, *rest in guard.batches([batch, batch]):
            optimizer.zero_grad()
            program.loss((x * model.weight[0]).to(program.dtype), *rest).backward()
            optimizer.step()

    return guard, train


def line_of(mark: str) -> int:
    """The number of the line of the programs that ends with `# origin: MARK`."""
    lines = Path(programs.__file__).read_text(encoding="utf8").splitlines()
    (found,) = [n for n, line in enumerate(lines, 1) if line.endswith(f"# origin: {mark}")]
    return found


def assert_explained(program: Program, out: Path, *batch: Tensor) -> None:
    """The first step fails at the marked line, in that phase, for that reason."""
    guard, train = watch(program, out, *batch)
    with pytest.raises(evenkeel.TrainingStopped):
        train()
    case, cause = guard.incident.case, guard.incident.causes[0]
    place = case.origin.operation.place
    assert (cause.code, cause.family) == (program.code, program.family), cause.text
    assert (case.step, case.phase, case.reproduced) == (0, program.phase, True)
    assert (place.file, place.line) == (programs.__file__, line_of(program.loss.__name__))


def assert_healthy(program: Program, out: Path, *batch: Tensor) -> None:
    """Both steps pass without an incident."""
    guard, train = watch(program, out, *batch)
    train()
    guard.finish()
    assert guard.incident is None


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_failing_step_is_explained_and_its_neighbour_trains(program: Program, tmp_path: Path) -> None:
    """Code, family, phase and line; nothing is said beside it."""
    assert_explained(program, tmp_path / "bad", torch.as_tensor(program.bad))
    if program.good is not None:
        assert_healthy(program, tmp_path / "good", torch.as_tensor(program.good))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_ignored_labels(dtype: torch.dtype, tmp_path: Path) -> None:
    """Every label ignored, and all but one."""
    program = replace(CLASSIFIED, dtype=dtype)
    assert_explained(program, tmp_path / "bad", POINTS, IGNORED)
    assert_healthy(program, tmp_path / "good", POINTS, torch.tensor([-100, 2, -100]))


@pytest.mark.parametrize(
    ("steps", "symbols"), [((4, 5), (3, 2)), (torch.tensor([4, 5]), torch.tensor([3, 2]))], ids=["tuples", "tensors"]
)
def test_sequence_shorter_than_its_transcript(steps: Lengths, symbols: Lengths, tmp_path: Path) -> None:
    """Four steps for 111, which needs five, and for 121, which needs three; sample 0 is named."""
    triple, pair = torch.tensor([[1, 1, 1], [1, 2, 0]]), torch.tensor([[1, 2, 1], [1, 2, 0]])
    assert_explained(TRANSCRIBED, tmp_path / "bad", FRAMES, triple, steps, symbols)
    assert_healthy(TRANSCRIBED, tmp_path / "good", FRAMES, pair, steps, symbols)


def test_every_cause_of_an_operation_has_a_real_program() -> None:
    """The codes for which this folder stands."""
    codes = {program.code for program in (*PROGRAMS, CLASSIFIED, TRANSCRIBED)}
    assert codes == {f"EK{n}" for n in (206, 207, 208, 209, 212, 217, 218, 228, 229, 233, 234, 244, 245)}
