"""Which rank a process is, and whether it can ask the others."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

Play = Callable[..., list[dict[str, Any]]]  # see conftest

# torch as it is where it was built without distributed: the module is there, and nearly empty.
WITHOUT_DISTRIBUTED = """
import sys

class Builder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch.distributed":
            for entrance in ("_c10d_init", "_rpc_init", "_dist_autograd_init"):
                delattr(sys.modules["torch._C"], entrance)

sys.meta_path.insert(0, Builder())

import torch
import torch.distributed as dist
from torch import nn

from evenkeel.dist.agree import Agreement
from evenkeel.dist.shared import Shared
from evenkeel.dist.world import can_agree, world

model = nn.Linear(2, 2)
assert not hasattr(dist, "init_process_group")
assert not Shared.of([model]).any_of(model.parameters())
Agreement().close()
print(dist.is_available(), can_agree(), world().rank, world().size)
"""

FAKE = """
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore

from evenkeel.dist.world import can_agree, world

dist.init_process_group("fake", rank=1, world_size=8, store=FakeStore())
print(dist.get_backend(), can_agree(), world().rank, world().size)
"""


def test_world_follows_the_default_group(play: Play) -> None:
    """The environment's word until there is a group, the group's while there is, the environment's again."""
    for rank, report in enumerate(play("agreeing", "worlds", 2)):
        assert report["seen"] == [[7, 9, False], [rank, 2, True], [7, 9, False]]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        pytest.param(WITHOUT_DISTRIBUTED, "False False 3 4", id="built-without-distributed"),
        pytest.param(FAKE, "fake False 1 8", id="made-up-ranks"),
    ],
)
def test_ranks_that_cannot_be_asked(program: str, said: str) -> None:
    """Everything answers, and nothing is asked, where there is nobody to ask."""
    environment = {**os.environ, "RANK": "3", "WORLD_SIZE": "4"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == said, done.stderr
