"""Plays one small planted step under observation and locates its symptom, as the guard does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from evenkeel.core.operation import LeafKind
from evenkeel.detect.nonfinite import Sighting, Watched, look
from evenkeel.locate.modules import Names
from evenkeel.locate.observation import Observation
from evenkeel.locate.origin import Located, locate
from evenkeel.locate.record import storage_of
from evenkeel.locate.samples import batch_size
from evenkeel.locate.trace import Trace
from evenkeel.tensors.trees import named_tensors

Forward = Callable[[], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A step that was run under observation, and what was seen at its end."""

    trace: Trace
    sighting: Sighting | None
    known: dict[int, tuple[LeafKind, str]]
    num_samples: int | None
    batch: Sequence[object] = ()

    @property
    def located(self) -> Located:
        """Where the symptom came from."""
        assert self.sighting is not None, "the planted step ended without a symptom"
        return locate(self.trace, self.sighting.tensors, self.num_samples, self.known.get, [self.batch])


def run(
    forward: Forward,
    *,
    model: nn.Module | None = None,
    batch: Sequence[object] = (),
    num_samples: int | None = None,
    after: Callable[[], object] | None = None,
) -> Played:
    """Run `forward`, backward and `after` under observation, then judge loss and gradients."""
    names = Names(() if model is None else (model,))
    tensors = [tensor for _, tensor in named_tensors(batch, "batch")]
    known: dict[int, tuple[LeafKind, str]] = {storage_of(t): ("batch", "batch") for t in tensors}
    known |= {storage_of(p): ("parameter", str(names.of_tensor(p))) for p in names.parameters()}
    known |= {storage_of(b): ("buffer", str(names.of_tensor(b))) for b in names.buffers()}
    observation = Observation(names)
    observation.start()
    observation.trace.begin()
    try:
        loss = forward()
        loss.backward()
        if after is not None:
            after()
    finally:
        observation.stop()
    gradients = [(p, p.grad) for p in names.parameters() if p.grad is not None]
    sighting = look(Watched([loss.detach()], gradients), lambda p: str(names.of_tensor(p)))
    size = batch_size(tensors) if num_samples is None else num_samples
    return Played(trace=observation.trace, sighting=sighting, known=known, num_samples=size, batch=batch)


@pytest.fixture
def play() -> Callable[..., Played]:
    """Runs a planted step: `play(forward, model=..., batch=[...])`."""
    torch.manual_seed(0)
    return run
