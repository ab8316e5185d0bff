"""What ranks hold together is told apart from what each has for itself."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from evenkeel.tensors.measure import local

Play = Callable[..., list[dict[str, Any]]]  # see conftest


def test_replicas(play: Play) -> None:
    """DDP over all ranks is shared: not a smaller group, not what it ignores, not while ranks may leave early."""
    expected = {
        "alone": False,
        "whole": True,
        "mixed": True,
        "taking_part": True,
        "ignored": False,
        "smaller_group": False,
        "nothing": False,
        "num_replicas": 2,
        "joining": False,
        "beside_joining": True,
        "gone": False,
    }
    assert play("sharing", "replicas", 2) == [expected] * 2


def test_shards(play: Play) -> None:
    """DTensors over all ranks are shared, whoever holds them; each rank sees its own part, in the same memory."""
    rows = torch.arange(12.0).reshape(6, 2).tolist()
    for rank, report in enumerate(play("sharing", "sharded", 2)):
        assert report == {
            "whole": True,
            "without_roots": True,
            "smaller_mesh": False,
            "plain": False,
            "cut": rows[3 * rank : 3 * rank + 3],
            "copied": rows,
            "itself": True,
            "shape": [3, 4],
            "same_memory": [[1.0] * 4] * 3 + [[2.0] * 4] * 3,
        }


def test_plain_tensor_is_itself_and_loads_nothing() -> None:
    """A program without DTensors does not pay half a second for their module."""
    tensor = torch.ones(2, requires_grad=True)
    assert local(tensor) is tensor
    program = (
        "import sys, torch; from evenkeel.dist.shared import Shared; "
        "Shared.of([torch.nn.Linear(1, 1)]).any_of([torch.ones(1)]); print('torch.distributed.tensor' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
