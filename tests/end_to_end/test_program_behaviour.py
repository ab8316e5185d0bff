"""A supervised program cannot tell that it is: arguments, names, exits, tracebacks and signals are its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.tables import rows

Start = Callable[..., Any]  # starts a program; see conftest
Running = subprocess.Popen[bytes]

SETUP = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def train():
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).square().mean().backward()
        optimizer.step()
"""

INTROSPECTION = """\
import atexit, inspect, os, pickle, sys, warnings
import sibling
from dataclasses import dataclass
@dataclass
class Point:
    x: int
assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
assert sys.modules["__main__"].Point is Point
assert "class Point" in inspect.getsource(Point)
print(sys.argv, __name__, __file__, __package__, __spec__ is None, os.getcwd(), sibling.VALUE)
print(sys.path)
print("asked:", input())
print("to stderr", file=sys.stderr)
warnings.warn("a warning of the script", stacklevel=1)
atexit.register(lambda: print("at exit", Point(4)))
train()
"""

BACKWARD = """\
class Broken(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()
    @staticmethod
    def backward(ctx, gradient):
        raise RuntimeError("broken in backward")
def loss():
    return Broken.apply(model(torch.ones(3, 2))).sum()
train()
"""

DATASET = """\
class Holes(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return {0: torch.ones(2)}[index // 3]
train()
for batch in DataLoader(Holes(), batch_size=2, num_workers=WORKERS):
    train()
"""

SPAWNED = """\
class Squares(Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return torch.full((2,), index * index / 9)
if __name__ == "__main__":
    train()
    for batch in DataLoader(Squares(), batch_size=3, num_workers=1, multiprocessing_context="spawn"):
        print(batch)
"""

CASES = {
    "introspection": INTROSPECTION,
    "exits_with_7": "train()\nimport sys\nsys.exit(7)\n",
    "exits_with_a_text": "train()\nimport sys\nsys.exit('no disk left')\n",
    "exits_well": "train()\nraise SystemExit\n",
    "raises": "def inner(x):\n    return {}[x]\ntrain()\nprint('before')\ninner('key')\nprint('after')\n",
    "raises_in_backward": f"{BACKWARD}loss().backward()\n",
    "raises_from_backward": f"{BACKWARD}try:\n    loss().backward()\n"
    "except RuntimeError as error:\n    raise ValueError('no gradient') from error\n",
    "raises_in_zero_grad": "train()\nmodel.zero_grad(wrong=1)\n",
    "raises_in_update": "train()\nclass Bad(torch.optim.SGD):\n    def step(self):\n"
    "        raise ArithmeticError('no step')\nBad(model.parameters()).step()\n",
    "raises_in_dataset": DATASET.replace("WORKERS", "0"),
    "raises_in_worker": DATASET.replace("WORKERS", "1"),
    "replaces_excepthook": "import sys, traceback\n"
    "def hook(kind, error, trace):\n"
    "    print(kind, error, [(f.name, f.lineno) for f in traceback.extract_tb(trace)])\n"
    f"{BACKWARD}sys.excepthook = hook\nloss().backward()\n",
    "interrupts_itself": "train()\nraise KeyboardInterrupt\n",
    "spawned_workers": SPAWNED,
}
# Each ends as another of them does, in another way.
LONG = {
    "exits_with_a_text", "exits_well", "raises_from_backward", "raises_in_zero_grad", "raises_in_dataset",
    "spawned_workers",
}  # fmt: skip
ARGUMENTS = ("--out", "here", "--help", "-m", "--", "--policy=stop", "two words")


def start(directory: Path, *arguments: str | Path) -> Running:
    """A running program, with pipes at its three ends."""
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=directory,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_hears_interrupts,  # noqa: PLW1509  no other thread of this process holds a lock that it needs
    )


def _hears_interrupts() -> None:
    """A shell starts programs in the background deaf to Ctrl-C, and the tests may run in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def ended(process: Running, given: bytes = b"an answer\n") -> tuple[int, str, str]:
    """Status, stdout and stderr of a program that was started, without the addresses of its process."""
    try:
        stdout, stderr = process.communicate(given, timeout=100)
    finally:
        process.kill()
    return process.returncode, stdout.decode(), stderr.decode()


def test_every_behaviour_is_compared() -> None:
    """The table was not emptied."""
    assert len(CASES) == 14
    assert len(LONG & CASES.keys()) == len(LONG) == 6


@pytest.mark.parametrize("case", rows(CASES, always=CASES.keys() - LONG))
def test_program_behaves_as_without_us(case: str, project: Callable[..., Path], tmp_path: Path) -> None:
    """Status, stdout and stderr are those of plain Python, to the byte."""
    directory = project(**{"train.py": SETUP + CASES[case], "sibling.py": "VALUE = 41\n"})
    alone = start(directory, "train.py", *ARGUMENTS)
    out = tmp_path / "out"
    watched = start(directory, "-m", "evenkeel", "run", "--out", out, "train.py", *ARGUMENTS)
    expected, got = ended(alone), ended(watched)
    assert got == expected
    assert not (out / "incident.json").exists()


def test_module_behaves_as_without_us(project: Callable[..., Path], tmp_path: Path) -> None:
    """`-m` sets argv, names and the path as Python does, and shows the module's own traceback."""
    text = "import sys\nfrom . import sibling\nprint(sys.argv, sys.path, __name__, __file__, __package__,"
    text += f" __spec__.name, sibling.VALUE)\n{SETUP}train()\nraise KeyError('mine')\n"
    directory = project(**{"pack/__init__.py": "", "pack/train.py": text, "pack/sibling.py": "VALUE = 41\n"})
    alone = start(directory, "-m", "pack.train", *ARGUMENTS)
    watched = start(directory, "-m", "evenkeel", "run", "--out", tmp_path / "out", "-m", "pack.train", *ARGUMENTS)
    status, stdout, stderr = ended(alone)
    assert status == 1
    of_runpy = '  File "<frozen runpy>"'  # how Python itself starts a module
    own = "".join(line for line in stderr.splitlines(keepends=True) if not line.startswith(of_runpy))
    assert ended(watched) == (status, stdout, own)


WAITING = (
    SETUP
    + """
import signal, sys, threading, time
HANDLER
train()
threading.Timer(1, print, ["ready"], {"flush": True}).start()  # then the main thread sleeps: it is hit there
time.sleep(90)
"""
)
HANDLING = "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number - 10))"


@pytest.mark.parametrize(
    ("number", "handler", "status"),
    [
        (signal.SIGINT, "", -signal.SIGINT),
        (signal.SIGTERM, "", -signal.SIGTERM),
        (signal.SIGTERM, HANDLING, 5),
        (signal.SIGINT, "signal.signal(signal.SIGINT, lambda number, frame: sys.exit('bye'))", 1),
    ],
    ids=["interrupt", "terminate", "terminate_handled", "interrupt_handled"],
)
def test_signals_reach_the_program(
    number: signal.Signals, handler: str, status: int, project: Callable[..., Path], tmp_path: Path
) -> None:
    """A signal ends the program as it ends it under plain Python, handlers and tracebacks included."""
    directory = project(**{"train.py": WAITING.replace("HANDLER", handler)})
    supervised = ("-m", "evenkeel", "run", "--out", tmp_path / "out", "train.py")
    running = [start(directory, "train.py"), start(directory, *supervised)]
    for process in running:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
    expected, got = (ended(process) for process in running)
    assert expected[0] == status
    assert got == expected


AFTER_CHDIR = """\
import os, torch
from torch import nn
os.makedirs("elsewhere", exist_ok=True)
os.chdir("elsewhere")
torch.manual_seed(0)
x = torch.ones(6, 2)
x[4] = 0
model = nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for i in range(0, 6, 2):
    loss = (model(x[i : i + 2]) - torch.log(x[i : i + 2])).square().mean()  # origin
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_program_that_changes_directory(project: Callable[..., Path], supervised: Start, tmp_path: Path) -> None:
    """The source is still found, and the child process still finds the script."""
    directory = project(**{"train.py": AFTER_CHDIR})
    out = tmp_path / "out"
    done = supervised("train.py", out=out, cwd=directory)
    assert done.status == 3, done.said
    text = (out / "incident.json").read_text()
    assert '"reproduced": true' in text
    assert '"source": "loss = (model(x[i : i + 2]) - torch.log(' in text
