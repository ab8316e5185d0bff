"""A transformer in training on a device, with a fused optimizer, guarded or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from workloads import LanguageModel

LEARNING_RATE = 1e-4

Batch = tuple[Tensor, ...]
Batches = Callable[[Iterable[Batch]], Iterable[Batch]]  # such as `iter`, or `Guard.batches`


@dataclass(frozen=True)
class Size:
    """How large a transformer, and how much text at a time."""

    width: int
    layers: int
    words: int
    length: int
    batch_size: int


class WeightedModel(LanguageModel):
    """A language model whose samples have weights, so that one NaN spoils one batch."""

    def loss(self, batch: Batch) -> Tensor:
        text, weight = batch
        return (self.surprise(text).mean(dim=1) * weight).mean()


class Job:
    """One training, always the same one; its data lie on the device."""

    def __init__(self, device: str, size: Size, num_batches: int, dtype: torch.dtype, bad: int | None = None) -> None:
        """`dtype`: autocast to it, unless it is float32; `bad`: the batch that holds a NaN."""
        torch.manual_seed(0)
        self.device, self._dtype = device, dtype
        self.model = WeightedModel(size.width, size.layers, size.words, size.length).to(device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE, fused=True)
        texts = torch.randint(0, size.words, (num_batches * size.batch_size, size.length + 1), device=device)
        weights = torch.ones(len(texts), device=device)
        if bad is not None:
            weights[bad * size.batch_size] = torch.nan
        self.loader = DataLoader(TensorDataset(texts, weights), batch_size=size.batch_size)

    def step(self, batch: Batch) -> None:
        """One step, as people write it."""
        self.optimizer.zero_grad()
        with torch.autocast(self.device, self._dtype, enabled=self._dtype != torch.float32):
            loss = self.model.loss(batch)
        loss.backward()
        self.optimizer.step()

    def train(self, batches: Batches = iter, *, without: int | None = None) -> None:
        """One epoch; `without` is a batch that is left out by hand."""
        for number, batch in enumerate(batches(self.loader)):
            if number != without:
                self.step(batch)

    def state(self) -> dict[str, Tensor]:
        """A copy of everything that a step changes: parameters, buffers, the optimizer's state, random states."""
        found = dict(self.model.state_dict())
        for number, state in self.optimizer.state_dict()["state"].items():
            found |= {f"{name} of parameter {number}": value for name, value in state.items()}
        found["random state of the CPU"] = torch.get_rng_state()
        if self.device == "cuda":
            found["random state of the GPU"] = torch.cuda.get_rng_state()
        return {name: tensor.detach().clone() for name, tensor in found.items()}


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """Let torch raise where the host waits for the device."""
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@contextmanager
def deterministic() -> Iterator[None]:
    """Let two runs of the same steps give the same bits."""
    torch.use_deterministic_algorithms(mode=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(mode=False)


def differences(left: dict[str, Tensor], right: dict[str, Tensor]) -> list[str]:
    """The names of the tensors that are not the same to the bit."""
    return sorted(name for name in left.keys() | right.keys() if not _same(left.get(name), right.get(name)))


def _same(left: Tensor | None, right: Tensor | None) -> bool:
    if left is None or right is None or left.shape != right.shape or left.dtype != right.dtype:
        return False
    return torch.equal(_bits(left), _bits(right))


def _bits(tensor: Tensor) -> Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)
