"""What the launcher wrote into the environment is taken when it makes a world, and left alone when it does not."""

import subprocess
import sys

import pytest

from evenkeel.dist.launch import World, launched


@pytest.mark.parametrize(
    ("rank", "size", "expected"),
    [
        ("2", "4", World(rank=2, size=4)),
        ("0", "1", World(rank=0, size=1)),
        (None, None, World(rank=0, size=1)),
        ("3", None, World(rank=0, size=1)),
        (None, "4", World(rank=0, size=1)),
        ("4", "4", World(rank=0, size=1)),
        ("-1", "4", World(rank=0, size=1)),
        ("first", "4", World(rank=0, size=1)),
        ("1", "", World(rank=0, size=1)),
    ],
)
def test_rank_and_size_of_the_launcher(rank: str | None, size: str | None, expected: World) -> None:
    """Both are needed, and the one must fit into the other."""
    environment = {name: value for name, value in (("RANK", rank), ("WORLD_SIZE", size)) if value is not None}
    assert launched(environment) == expected


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torchrun set is found without being handed over."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launched() == World(rank=1, size=2)


def test_asking_the_launcher_needs_no_torch() -> None:
    """The command line may ask before torch is loaded; the twin shows that the question can be answered with yes."""
    loaded = [
        subprocess.run(
            [sys.executable, "-c", f"import sys, {module}; print('torch' in sys.modules)"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.strip()
        for module in ("evenkeel.dist.launch", "evenkeel.dist.world")
    ]
    assert loaded == ["False", "True"]
