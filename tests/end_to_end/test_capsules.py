"""A step frozen by `evenkeel run` comes again under `evenkeel replay`, the same to the bit, for every style of loop."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

Start = Callable[..., Any]  # starts a program; see conftest

SAME = "the same failure, the same to the bit"
TARGETS = {"trainer": ("-m", "trainer.train")}
SLOW = {"compiled"}  # inductor calls a C++ compiler
ALWAYS = {"accumulation", "amp_unscale_clip", "array_slices"}
# From the start of the program, because its state alone does not make the step.
FROM_START = {
    "array_slices": "the step did not come again in the process that met it",
    "drawn_numpy": "the loop takes its data by itself",
    "drawn_torch": "the loop takes its data by itself",
    "first_step": "it is the first step",
    "full_batch": "the loop takes its data by itself",
    "last_step": "the step did not come again in the process that met it",
    "lbfgs": "",  # where it is repeated is no promise
    "manual_autograd_grad": "",  # the same
    "mean_teacher": "the step did not come again in the process that met it",
    "nested_outer": "the step did not come again in the process that met it",
    "own_optimizer": "the update that is at fault had been made when it was seen",
    "prefetch_generator": "the step did not come again in the process that met it",
    "prefetch_thread": "the step did not come again in the process that met it",
    "rebuilt": "the models were others when training began",
    "to_float64": "the models were others when training began",
}


def every_script() -> list[Any]:
    """All the loops that planted faults are tested with."""
    folder = Path(__file__).parent / "scripts"
    names = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    return rows(sorted(names - {"final_state"}), always=ALWAYS, slow=SLOW)


def test_no_script_was_forgotten() -> None:
    """And none has an entry without being there."""
    names = {row.values[0] for row in every_script()}
    assert len(names) == 61
    assert names >= FROM_START.keys() | ALWAYS


def replayed(start: Start, capsule: Path, *options: str, cwd: Path) -> tuple[int, str]:
    """`evenkeel replay CAPSULE`: status, and stderr as one line."""
    done = start("-m", "evenkeel", "replay", capsule, *options, cwd=cwd)
    assert "Traceback" not in done.stderr.decode(), done.said
    return done.status, " ".join(done.stderr.decode().split())


@pytest.mark.parametrize("script", every_script())
def test_round_trip(script: str, plain: Start, planted_run: Callable[..., Path], tmp_path: Path) -> None:
    """From another directory; the verdict is told to the bit, and the way is the one that the loop allows."""
    out = planted_run(*TARGETS.get(script, (f"{script}.py",)))
    capsule = out / "capsule"
    incident = json.loads((out / "incident.json").read_text())
    assert incident["capsule"] == str(capsule)
    assert incident["capsule_bytes"] == sum(path.stat().st_size for path in capsule.iterdir())
    status, said = replayed(plain, capsule, cwd=tmp_path)
    assert (status, SAME in said) == (3, True), said
    manifest = json.loads((capsule / "manifest.json").read_text())
    assert manifest["begin"] == ("start" if script in FROM_START else "state"), manifest["why"]
    assert manifest["why"].startswith(FROM_START.get(script, ""))
    assert "is not there" not in said


PROGRAM = """\
import os, random, sys
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

random.seed(1); np.random.seed(2); torch.manual_seed(3)
x = torch.rand(48, 3) + 0.5
x[33] = 0.0
model = nn.Sequential(nn.Linear(3, WIDTH), nn.BatchNorm1d(WIDTH), nn.Dropout(0.3), nn.Linear(WIDTH, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
for step, (inputs,) in enumerate(DataLoader(TensorDataset(x), batch_size=4, shuffle=False)):
    target = torch.log(inputs + GUARD)  # origin
    drawn = random.random() + np.random.rand() + torch.rand(())
    moved = sum(s["exp_avg"].sum() for s in optimizer.state.values()) + optimizer.param_groups[0]["lr"]
    healthy = (model(inputs).squeeze() * drawn + moved + VARIABLE).square().mean()
    loss = healthy - 0 * healthy + target.mean()
    optimizer.zero_grad()
    (healthy + target.mean()).backward()
    optimizer.step()
    schedule.step()
    print(step, "repeated" if "EVENKEEL_RERUN" in os.environ else "live")
"""


def program(guard: str = "0", width: str = "4", variable: str = "0") -> str:
    """Its failing step depends on every generator, on the optimizer's state and on its learning rate."""
    return PROGRAM.replace("GUARD", guard).replace("WIDTH", width).replace("VARIABLE", variable)


@pytest.fixture
def captured(project: Callable[..., Path], supervised: Start, tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Run the program, with options: its directory, and the run's."""

    def run(*options: str, text: str = program()) -> tuple[Path, Path]:
        directory = project(**{"train.py": text})
        done = supervised(*options, "train.py", out=tmp_path / "out", cwd=directory)
        assert done.status == 3, done.said
        return directory, tmp_path / "out"

    return run


def test_another_machine(captured: Callable[..., tuple[Path, Path]], plain: Start, tmp_path: Path) -> None:
    """The program lies elsewhere and its old place is gone; the capsule was sent as one file."""
    directory, out = captured("--zip")
    there = tmp_path / "there"
    shutil.move(directory, there)
    shutil.move(out / "capsule.zip", there / "sent.zip")
    shutil.rmtree(out)
    assert replayed(plain, there / "sent.zip", cwd=tmp_path)[0] == 2
    status, said = replayed(plain, there / "sent.zip", cwd=there)
    assert (status, SAME in said) == (3, True), said
    status, said = replayed(plain, there / "sent.zip", "--program", str(there / "train.py"), cwd=tmp_path)
    assert (status, SAME in said) == (3, True), said


def test_it_takes_steps_and_not_hours(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """One update of the program's own, then the captured one; the program is told that it is a repetition."""
    directory, out = captured()
    done = plain("-m", "evenkeel", "replay", out / "capsule", cwd=directory)
    assert done.stdout.decode() == "0 repeated\n"


def test_a_mended_program(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """Gone, status 0, and that the text is another one is said."""
    directory, out = captured()
    (directory / "train.py").write_text(program(guard="1e-6"))
    status, said = replayed(plain, out / "capsule", cwd=directory)
    assert status == 0, said
    assert "the step is healthy" in said
    assert "text of the program" in said


def test_another_model(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """Refused with the first differences, before anything is compared."""
    directory, out = captured()
    (directory / "train.py").write_text(program(width="5"))
    status, said = replayed(plain, out / "capsule", cwd=directory)
    assert status == 2
    assert "Sequential[0].0.weight was float32 of shape [4, 3] and is float32 of shape [5, 3]" in said
    assert "and 4 more" in said


def test_a_loop_with_variables_of_its_own(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """The state alone does not make its step: that is told, and from the start it comes."""
    directory, out = captured(text=program(variable="min(step, 3)"))
    status, said = replayed(plain, out / "capsule", cwd=directory)
    assert (status, SAME in said) == (3, False), said
    assert "the same tensors are bad, with other bits" in said
    assert "--from start runs all steps before" in said
    status, said = replayed(plain, out / "capsule", "--from", "start", cwd=directory)
    assert (status, SAME in said) == (3, True), said


def test_without_data(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """No batch lies in the capsule, its absence is explained, and the step comes from the start."""
    directory, out = captured("--no-data")
    assert json.loads((out / "capsule" / "trees.json").read_text())["batches"] == []
    assert (out / "capsule" / "batches.safetensors").stat().st_size < 100
    status, said = replayed(plain, out / "capsule", "--list", cwd=directory)
    assert (status, "left out as asked by --no-data" in said) == (0, True), said
    status, said = replayed(plain, out / "capsule", cwd=directory)
    assert (status, SAME in said) == (3, True), said
    status, said = replayed(plain, out / "capsule", "--from", "state", cwd=directory)
    assert (status, "holds no batches (--no-data)" in said) == (2, True), said


def test_list_runs_nothing(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """What it holds, where it comes from, what can be changed."""
    directory, out = captured()
    (directory / "train.py").unlink()
    status, said = replayed(plain, out / "capsule", "--list", cwd=directory)
    assert status == 0
    for words in ("step 8: the loss is -inf", "train.py in", "model.safetensors", "'unchanged'", "'step in float64'"):
        assert words in said, words


def test_with_one_thing_changed(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """Unchanged it is the same; one that does not exist is refused with those that do."""
    directory, out = captured()
    status, said = replayed(plain, out / "capsule", "--with", "unchanged", cwd=directory)
    assert (status, SAME in said) == (3, True), said
    status, said = replayed(plain, out / "capsule", "--with", "step in float32", cwd=directory)
    assert (status, "nothing was learnt" in said) == (3, True), said
    status, said = replayed(plain, out / "capsule", "--with", "unchangd", cwd=directory)
    assert (status, "did you mean 'unchanged'?" in said) == (2, True), said


def test_a_change_that_mends(supervised: Start, plain: Start, scripts: Path, tmp_path: Path) -> None:
    """A square beyond what float16 holds, in float32: status 0, and the loss is told."""
    assert supervised("amp_forward_overflow.py", out=tmp_path / "out").status == 3
    status, said = replayed(plain, tmp_path / "out" / "capsule", "--with", "step in float32", cwd=scripts)
    assert (status, "the step is healthy" in said) == (0, True), said


FORM = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, y = torch.randn(64, 4), torch.randint(3, (64,))
x[37] *= 1e4
model = nn.Linear(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for a, b in DataLoader(TensorDataset(x, y), batch_size=8):
    z = model(a)
    loss = -torch.log(torch.softmax(z, dim=1))[torch.arange(len(b)), b].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_a_stable_form_that_mends(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """Those that may fit the origin are listed; the right one is healthy, another one meets nothing."""
    directory, out = captured(text=FORM)
    _, said = replayed(plain, out / "capsule", "--list", cwd=directory)
    assert "'stable form: log_softmax'" in said
    status, said = replayed(plain, out / "capsule", "--with", "stable form: log_softmax", cwd=directory)
    assert (status, "the step is healthy" in said) == (0, True), said
    status, said = replayed(plain, out / "capsule", "--with", "stable form: logsigmoid", cwd=directory)
    assert (status, "nothing was learnt" in said) == (3, True), said


def test_a_stable_form_where_the_program_lies_elsewhere(
    captured: Callable[..., tuple[Path, Path]], plain: Start, tmp_path: Path
) -> None:
    """Another directory of another name, as on another machine."""
    directory, out = captured(text=FORM)
    other = tmp_path / "elsewhere"
    directory.rename(other)
    for name in ("stable form: log_softmax", "origin in float64"):
        status, said = replayed(plain, out / "capsule", "--with", name, cwd=other)
        assert "nothing was learnt" not in said
        assert status == (0 if name.startswith("stable") else 3), said
    moved = other / "deeper" / "renamed.py"
    moved.parent.mkdir()
    (other / "train.py").rename(moved)
    options = ("--with", "stable form: log_softmax", "--program", str(moved))
    status, said = replayed(plain, out / "capsule", *options, cwd=other)
    assert (status, "the step is healthy" in said) == (0, True), said


def test_a_damaged_capsule(captured: Callable[..., tuple[Path, Path]], plain: Start) -> None:
    """Status 2 and a sentence; the program does not run."""
    directory, out = captured("--zip")
    with zipfile.ZipFile(out / "capsule.zip", "a") as file:
        file.writestr("../evil.py", "print('ran')")
    status, said = replayed(plain, out / "capsule.zip", cwd=directory)
    assert (status, said) == (2, said)
    assert said.startswith("evenkeel: '../evil.py' is no file of a capsule")
    assert not (out.parent / "evil.py").exists()


IN_PYTHON = """\
import evenkeel, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(3)
x = torch.rand(48, 3) + 0.5
x[33] = 0.0
model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
guard = evenkeel.Guard(model, optimizer, out="out", experiments=False)
for (inputs,) in guard.batches(DataLoader(TensorDataset(x), batch_size=4, shuffle=True)):
    loss = (model(inputs) - torch.log(inputs)).square().mean()
    optimizer.zero_grad(); loss.backward(); optimizer.step()
"""


def test_a_guard_in_python(project: Callable[..., Path], plain: Start, tmp_path: Path) -> None:
    """Its capsules are replayed like all others."""
    directory = project(**{"train.py": IN_PYTHON})
    assert plain("train.py", cwd=directory).status == 3
    shutil.move(directory / "out" / "capsule", tmp_path / "capsule")
    shutil.rmtree(directory / "out")
    status, said = replayed(plain, tmp_path / "capsule", cwd=tmp_path)
    assert (status, SAME in said) == (3, True), said
