"""Several processes that train one model: batches are those that one process would have, each has its rows of them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from evenkeel_recipes.kit.refusal import Refused

LOG = logging.getLogger("virtual_cell")
Loss = Callable[[Any, int], tuple[Tensor, Mapping[str, Tensor]]]  # of a batch in an epoch, with its terms
NEVER = torch.iinfo(torch.int64).max
MEETING = ("RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Ranks:
    """How many processes there are, and which of them this is."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and judges."""
        return self.rank == 0

    def objective(self, model: nn.Module, loss: Loss, *, may_miss: bool) -> Loss:
        """What the loop calls for loss and terms: `loss` itself; of several ranks, `DistributedDataParallel` around it.

        Args:
            model: what the loss is computed with.
            loss: of rows of a batch, a mean over them.
            may_miss: whether parameters that ask for a gradient may get none (where a failure was planted).
        """
        if self.size == 1:
            return loss
        return DistributedDataParallel(Share(model, loss, self), find_unused_parameters=may_miss)

    def rows(self, total: int) -> slice:
        """Which rows of a batch are this rank's: each `size`-th; the first where it has none, which then counts 0."""
        return slice(self.rank, None, self.size) if self.rank < total else slice(0, 1)

    def weight(self, total: int) -> float:
        """What a mean over its rows counts in the mean over ranks, so that this is the mean over the batch."""
        return len(range(self.rank, total, self.size)) * self.size / total

    def drawing_for(self, batch: Any) -> AbstractContextManager[object]:  # noqa: ANN401  of any stage
        """A context for a forward, in which random numbers are those of one process."""
        total = num_rows(batch)
        return nullcontext() if self.size == 1 else DrawnForAll(total, self.rows(total))

    def mean(self, value: Tensor) -> Tensor:
        """The mean over ranks."""
        if self.size == 1:
            return value
        total = value.clone()
        dist.all_reduce(total)
        return total / self.size

    def first(self, step: int | None) -> int | None:
        """The earliest step of any rank; None where all have None."""
        if self.size == 1:
            return step
        earliest = torch.tensor(NEVER if step is None else step)
        dist.all_reduce(earliest, dist.ReduceOp.MIN)
        return None if int(earliest) == NEVER else int(earliest)

    def given(self, value: Tensor, by: int) -> Tensor:
        """What rank `by` has; the others give a tensor of the same shape."""
        if self.size > 1:
            dist.broadcast(value, by)
        return value

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()

    def refuse_unless_alike(self, digest: str, what: str) -> None:
        """Compare a SHA-256 in hexadecimal.

        Raises:
            Refused: on every rank, where one of them has another.
        """
        if self.size == 1:
            return
        mine = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
        every = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(every, mine)
        others = [str(rank) for rank, digest_ in enumerate(every) if not torch.equal(digest_, every[0])]
        if others:
            raise Refused(f"{what} of rank {', '.join(others)} are not those of rank 0; give all ranks the same files")


class Share(nn.Module):
    """Loss and terms of this rank's rows, weighed so that their mean over ranks is that of the batch."""

    def __init__(self, model: nn.Module, loss: Loss, ranks: Ranks) -> None:
        super().__init__()
        self.model, self.loss, self.ranks = model, loss, ranks

    def forward(self, batch: Any, epoch: int) -> tuple[Tensor, Mapping[str, Tensor]]:  # noqa: ANN401  of any stage
        """Of a whole batch, which every rank is given."""
        total = num_rows(batch)
        weight = self.ranks.weight(total)
        loss, terms = self.loss(rows_of(batch, self.ranks.rows(total)), epoch)
        return weight * loss, {name: weight * term for name, term in terms.items()}


class DrawnForAll(TorchFunctionMode):
    """Random numbers with a row a cell are drawn for all rows of the batch, by every rank alike; each keeps its own."""

    def __init__(self, total: int, rows: slice) -> None:
        super().__init__()
        self.total, self.rows = total, rows

    def __torch_function__(  # torch's signature
        self,
        func: Callable[..., Any],
        types: Any,  # noqa: ANN401
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Noise, times and the masks of dropout; everything else as it is. Nothing inside of backward comes here."""
        given = kwargs or {}
        if func is torch.randn_like:
            return torch.randn(self.total, *args[0].shape[1:])[self.rows]
        if func is torch.rand:
            return torch.rand(self.total, *args[1:])[self.rows]
        if func is F.dropout and given["training"]:
            kept = args[0].new_ones(self.total, *args[0].shape[1:])
            return args[0] * F.dropout(kept, given["p"])[self.rows]
        return func(*args, **given)


def num_rows(batch: Any) -> int:  # noqa: ANN401  a tensor, or batches as tuples of tensors
    """How many cells a batch has."""
    return len(batch) if isinstance(batch, Tensor) else num_rows(batch[0])


def rows_of(batch: Any, rows: slice) -> Any:  # noqa: ANN401  as above
    """Some rows of every tensor of a batch."""
    if batch is None or isinstance(batch, Tensor):
        return None if batch is None else batch[rows]
    found = [rows_of(part, rows) for part in batch]
    return type(batch)(*found) if hasattr(batch, "_fields") else tuple(found)


@contextmanager
def joined() -> Iterator[Ranks]:
    """The processes that torchrun started, joined over gloo while the context lasts; a process by itself is 0 of 1.

    Raises:
        Refused: there are to be several, and nothing says where they meet.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    if missing := [name for name in MEETING if name not in os.environ]:
        raise Refused(f"WORLD_SIZE is {size}, but {', '.join(missing)} are not set; start the processes with torchrun")
    dist.init_process_group("gloo")
    try:
        yield Ranks(dist.get_rank(), size)
    finally:
        dist.destroy_process_group()


def begin_logging(ranks: Ranks) -> None:
    """What happens is told by the first rank, with the time."""
    logging.basicConfig(format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    LOG.setLevel(logging.INFO if ranks.is_first else logging.ERROR)
