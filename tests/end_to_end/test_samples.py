"""Which rows, of which batch, where in the data set: named, and verified by the step without them."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset

import evenkeel

BAD = (21, 23)  # elements of the data set


def data() -> Tensor:
    """Forty samples; the sums of two of them are 0."""
    torch.manual_seed(0)
    x = torch.rand(40, 3) + 0.5
    x[list(BAD)] = 0.0
    return x


class Named(Dataset[dict[str, Any]]):
    """Samples as mappings, with a text beside the numbers."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": data()[index], "name": f"sample {index}"}


class Pair(NamedTuple):
    """A named tuple of a batch."""

    x: Tensor
    target: Tensor


class Stream(IterableDataset[Tensor]):
    """Samples without numbers."""

    def __iter__(self) -> Iterator[Tensor]:
        return iter(data())


def ragged(samples: list[tuple[Tensor]]) -> list[Tensor]:
    """A list of tensors of different lengths."""
    return [x.repeat(i + 1) for i, (x,) in enumerate(samples)]


def paired(samples: list[tuple[Tensor]]) -> Pair:
    """A named tuple."""
    x = torch.stack([x for (x,) in samples])
    return Pair(x, x.sum(dim=1))


def play(
    out: Path, loader: Iterable[Any], read: Callable[[Any], Tensor], *, micro_batches: int = 1, scale: float = 1.0
) -> evenkeel.Guard:
    """Train on the logarithm of the sum of each sample until the guard stops it."""
    torch.manual_seed(1)
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    guard = evenkeel.Guard(nn.ParameterList([weight]), optimizer, out=out)

    def train() -> None:
        for number, batch in enumerate(guard.batches(loader), start=1):
            loss = torch.log(scale * read(batch) @ weight).mean()
            loss.backward()
            if number % micro_batches == 0:
                optimizer.step()
                optimizer.zero_grad()

    with pytest.raises(evenkeel.TrainingStopped):
        train()
    assert guard.incident is not None
    return guard


def told(out: Path) -> dict[str, Any]:
    """The origin as written."""
    return dict(json.loads((out / "incident.json").read_text())["origin"])


def first(batch: list[Tensor]) -> Tensor:
    """The only tensor."""
    return batch[0]


def by_sums(batch: list[Tensor]) -> Tensor:
    """One row for each tensor of a list."""
    return torch.stack([x.reshape(-1, 3).mean(dim=0) for x in batch])


shuffled = torch.Generator()
LOADERS: dict[str, tuple[Callable[[], DataLoader[Any]], Callable[[Any], Tensor]]] = {
    "in order": (lambda: DataLoader(TensorDataset(data()), batch_size=8), first),
    "shuffled": (lambda: DataLoader(TensorDataset(data()), batch_size=8, shuffle=True), first),
    "sampler": (lambda: DataLoader(TensorDataset(data()), batch_size=8, sampler=range(39, -1, -1)), first),
    "batch sampler": (
        lambda: DataLoader(
            TensorDataset(data()),
            batch_sampler=torch.utils.data.BatchSampler(SequentialSampler(range(40)), 8, drop_last=False),
        ),
        first,
    ),
    "workers": (lambda: DataLoader(TensorDataset(data()), batch_size=4, shuffle=True, num_workers=2), first),
    "mappings": (lambda: DataLoader(Named(), batch_size=8), lambda batch: batch["x"]),
    "named tuples": (lambda: DataLoader(TensorDataset(data()), batch_size=8, collate_fn=paired), lambda b: b.x),
    "ragged": (lambda: DataLoader(TensorDataset(data()), batch_size=8, collate_fn=ragged), by_sums),
}


@pytest.mark.parametrize("name", LOADERS)
def test_samples_are_named_and_verified(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows, elements of the data set, and the step without them is healthy."""
    make, read = LOADERS[name]
    guard = play(tmp_path, make(), read)
    origin = told(tmp_path)
    assert origin["samples"], "no row was named"
    assert set(origin["dataset_indices"]) <= set(BAD)
    assert len(origin["dataset_indices"]) == len(origin["samples"])
    assert origin["samples_verified"] is True
    assert origin["micro_batch"] is None
    tried = guard.incident.experiments
    assert [(e.name, e.healthy) for e in tried] == [("without samples", True)]
    assert tried[0].loss is not None
    if name == "in order":
        assert (origin["samples"], origin["dataset_indices"]) == ([5, 7], [21, 23])
        assert tried[0].changed == "rows of the batch replaced: 5 by 0, 7 by 1"
        assert "in the data set: 21 and 23; with other rows of the batch" in " ".join(capsys.readouterr().err.split())


def test_stream_has_rows_and_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An iterable data set has no indices; rows are told and verified all the same."""
    play(tmp_path, DataLoader(Stream(), batch_size=8), lambda batch: batch)
    origin = told(tmp_path)
    assert (origin["samples"], origin["dataset_indices"], origin["samples_verified"]) == ([5, 7], [], True)


def test_second_epoch_that_follows_a_broken_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What persistent workers had fetched ahead when the loop broke off is not taken for the next epoch's."""
    torch.manual_seed(3)
    loader = DataLoader(TensorDataset(data()), batch_size=8, shuffle=True, num_workers=2, persistent_workers=True)

    def twice() -> Iterator[list[Tensor]]:
        for batch in loader:
            yield [batch[0].abs() + 0.5]
            break
        yield from loader

    # drawn through evenkeel's own hook on loaders, which `run` uses: a generator around a loader tells no indices
    play(tmp_path, twice(), first)
    assert told(tmp_path)["dataset_indices"] == []


def test_every_row_bad_is_not_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """There is no healthy row to put in their place."""
    play(tmp_path, DataLoader(TensorDataset(data()), batch_size=8), first, scale=0.0)
    origin = told(tmp_path)
    assert (origin["samples"], origin["samples_verified"]) == ([*range(8)], None)


def test_micro_batch_of_an_accumulated_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Elements 21 and 23 are row 1 of micro-batches 10 and 11, the third and fourth of step 2: the first is named."""
    play(tmp_path, DataLoader(TensorDataset(data()), batch_size=2), first, micro_batches=4)
    origin = told(tmp_path)
    assert (origin["micro_batch"], origin["samples"], origin["dataset_indices"]) == (2, [1], [21])
    assert origin["samples_verified"] is False  # the next micro-batch has one of its own


def test_skip_goes_on_as_without_the_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The state after a skipped step is that of a run that left the batch out by hand."""
    ends = []
    for by_hand in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.3), nn.Linear(3, 1))
        optimizer = torch.optim.AdamW(model.parameters())
        loader = DataLoader(TensorDataset(data()), batch_size=8)
        guard = evenkeel.Guard(model, optimizer, policy=evenkeel.skip(at_most=2), out=tmp_path / "out")
        for number, (x,) in enumerate(loader if by_hand else guard.batches(loader)):
            if by_hand and number == 2:
                continue
            optimizer.zero_grad()
            (model(x).square().mean() + torch.log(x.sum(dim=1)).mean()).backward()
            model[0].bias.grad += torch.log(x.sum(dim=1)).mean()
            optimizer.step()
        moments = [v for state in optimizer.state.values() for v in state.values()]
        ends.append([t.clone() for t in (*model.state_dict().values(), *moments, torch.get_rng_state())])
    assert guard.incident.case.origin.samples_verified is True
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_program_that_cannot_bear_other_rows_is_still_told(tmp_path: Path) -> None:
    """The trial ends with the program's own complaint; the incident stands without it."""
    seen: list[float] = []
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    guard = evenkeel.Guard(nn.ParameterList([weight]), optimizer, out=tmp_path)

    def train() -> None:
        for (x,) in guard.batches(DataLoader(TensorDataset(data()), batch_size=8)):
            if len(set(x[:, 0].tolist())) + 1 < len(x):  # both zero rows are alike
                raise RuntimeError("two samples are the same")
            seen.append(float(x.sum()))
            torch.log(x @ weight).mean().backward()
            optimizer.step()

    with pytest.raises((RuntimeError, evenkeel.TrainingStopped)):
        train()
    with pytest.raises(evenkeel.TrainingStopped):
        guard.finish()
    assert told(tmp_path)["samples"] == [5, 7]
    assert told(tmp_path)["samples_verified"] is None
