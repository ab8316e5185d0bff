"""Programs of several ranks, started as a launcher starts them: plain, and under `evenkeel run`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from torch import distributed as dist

SCRIPTS = Path(__file__).parent / "scripts"
OF_ONE_PROCESS = Path(__file__).parents[1] / "end_to_end" / "scripts"  # final_state.py lies there
TIME_LIMIT_S = 60.0  # for all ranks of a program; a test has more, so that a rank that hangs is named
SWITCHES = {"HEALTHY", "LEAVE_OUT", "LEAVES", "FAULT", "KEEP_GROUP", "RANK", "WORLD_SIZE", "LOCAL_RANK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program of several ranks ended."""

    statuses: tuple[int | None, ...]  # by rank; negative: killed by that signal; None: it hung
    stdout: tuple[str, ...]
    stderr: tuple[str, ...]
    directory: Path  # what the script wrote

    @property
    def said(self) -> str:
        """The ends of all stderrs, for the message of a failing test."""
        return "\n".join(f"rank {r}, status {s}:\n{self.stderr[r][-2500:]}" for r, s in enumerate(self.statuses))

    def states(self) -> list[list[str]]:
        """By rank, the lines `name digest` that the script ended with."""
        found = [(self.directory / f"state{rank}").read_text().splitlines() for rank in range(len(self.statuses))]
        assert all(len(lines) > 5 for lines in found), f"{self.directory} holds a state of hardly anything"
        return found

    def updates(self) -> list[list[str]]:
        """By rank, a digest of the parameters after each update."""
        return [(self.directory / f"updates{rank}").read_text().splitlines() for rank in range(len(self.statuses))]


def environment(**extra: str) -> dict[str, str]:
    """One thread a rank, faults planted, nothing left over from the run of the tests themselves."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_")) and k not in SWITCHES}
    modules = os.pathsep.join(filter(None, [str(OF_ONE_PROCESS), kept.get("PYTHONPATH")]))
    settled = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": modules}
    commands = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"  # `evenkeel` is one of them
    return {**kept, **settled, "PATH": commands, **extra}


class Launcher:
    """Starts ranks, waits for them, and kills what is left, each process group by its own id."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._started: list[subprocess.Popen[bytes]] = []
        self._num_runs = 0

    def run(self, *command: str | Path, size: int = 2, limit_s: float = TIME_LIMIT_S, **extra: str) -> Ended:
        """`python COMMAND` for each rank, with what torchrun sets; the script is given a directory to write into.

        As under torchrun the ranks meet at a store that outlives them; unlike torchrun nobody stops the other ranks
        when one has failed.
        """
        written = self._directory()
        store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        meeting = {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(store.port),
            "TORCHELASTIC_USE_AGENT_STORE": "True",
            "WORLD_SIZE": str(size),
            **extra,
        }
        ranks = [
            self._start(
                [*command, written], written, rank, environment(RANK=str(rank), LOCAL_RANK=str(rank), **meeting)
            )
            for rank in range(size)
        ]
        return self._ended(ranks, written, limit_s)

    def torchrun(self, *command: str | Path, size: int = 2, **extra: str) -> Ended:
        """`torchrun COMMAND`; the one status is torchrun's, and all ranks share its output."""
        written = self._directory()
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
        started = self._start([*launcher, *command, written], written, 0, environment(**extra))
        return self._ended([started], written, TIME_LIMIT_S)

    def end(self) -> None:
        """Kill what still runs, with everything that it started."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _directory(self) -> Path:
        self._num_runs += 1
        directory = self.directory / f"written{self._num_runs}"
        directory.mkdir()
        return directory

    def _start(
        self, command: list[str | Path], directory: Path, rank: int, variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        with (directory / f"stdout{rank}").open("wb") as stdout, (directory / f"stderr{rank}").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=SCRIPTS,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def _ended(self, processes: list[subprocess.Popen[bytes]], directory: Path, limit_s: float) -> Ended:
        until = time.monotonic() + limit_s
        statuses = tuple(_status(process, until - time.monotonic()) for process in processes)
        said = [
            tuple((directory / f"{stream}{rank}").read_text(errors="replace") for rank in range(len(statuses)))
            for stream in ("stdout", "stderr")
        ]
        return Ended(statuses=statuses, stdout=said[0], stderr=said[1], directory=directory)


def _status(process: subprocess.Popen[bytes], limit_s: float) -> int | None:
    try:
        return process.wait(max(limit_s, 0.0))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts the programs of one file of tests."""
    starting = Launcher(tmp_path_factory.mktemp("ranks"))
    yield starting
    starting.end()


@pytest.fixture(scope="module")
def ranks(launcher: Launcher) -> Callable[..., Ended]:
    """`ranks("script.py", size=2, limit_s=5.0, HEALTHY="1")`: Python for each rank."""
    return launcher.run


@pytest.fixture(scope="module")
def torchrun(launcher: Launcher) -> Callable[..., Ended]:
    """`torchrun("-m", "evenkeel", "run", "script.py", size=2, HEALTHY="1")`."""
    return launcher.torchrun


@pytest.fixture(scope="module")
def plain(launcher: Launcher) -> Callable[..., Ended]:
    """`plain("script", size=2, HEALTHY="1")`: every rank of a script with Python alone."""

    def start(script: str, size: int = 2, **extra: str) -> Ended:
        return launcher.run(f"{script}.py", size=size, **extra)

    return start


@pytest.fixture(scope="module")
def supervised(launcher: Launcher) -> Callable[..., Ended]:
    """`supervised("script", "--policy", "skip", out=DIR)`: every rank under `evenkeel run`, all given the same DIR."""

    def start(script: str, *options: str, out: Path, size: int = 2, **extra: str) -> Ended:
        command = ("-m", "evenkeel", "run", "--out", out, *options, f"{script}.py")
        return launcher.run(*command, size=size, **extra)

    return start
