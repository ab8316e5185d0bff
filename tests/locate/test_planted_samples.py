"""One bad sample, through the ways in which samples are laid together: the operation and the sample must be named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence

Play = Callable[..., Any]
NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A model, its batch and a loss in which the sample `bad` fails in the operation `function`."""

    model: nn.Module
    batch: list[Any]
    forward: Callable[[], Tensor]
    function: str
    bad: tuple[int, ...]
    num_samples: int


def values(*shape: int) -> Tensor:
    """Between .5 and 1.5."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) + 0.5


def ragged() -> Plant:
    """A list of sequences of different lengths, laid end to end; one holds a zero."""
    batch = [values(n, 3) for n in (2, 4, 1, 3)]
    batch[2][0, 1] = 0
    model = nn.Linear(3, 1)

    def forward() -> Tensor:
        rows = torch.cat(batch)
        return (model(rows) + torch.log(rows)).mean()  # planted

    return Plant(model=model, batch=batch, forward=forward, function="log", bad=(2,), num_samples=4)


def padded() -> Plant:
    """The same, padded into a table and masked."""
    batch = [values(n, 3) for n in (2, 4, 1, 3)]
    batch[1][3, 0] = -1
    model = nn.Linear(3, 1)

    def forward() -> Tensor:
        table = pad_sequence(batch, batch_first=True, padding_value=1.0)
        keep = pad_sequence([torch.ones(len(b)) for b in batch], batch_first=True).bool()
        return torch.sqrt(table[keep]).mul(model(table[keep])).mean()  # planted

    return Plant(model=model, batch=batch, forward=forward, function="sqrt", bad=(1,), num_samples=4)


def nested_lists() -> Plant:
    """A list of sentences of a list of documents."""
    batch = [[values(2, 3), values(1, 3)], [values(3, 3), values(2, 3)], [values(1, 3), values(1, 3)]]
    batch[1][1][0, 0] = 0
    model = nn.Linear(3, 1)

    def forward() -> Tensor:
        rows = torch.cat([sentence for document in batch for sentence in document])
        return (model(rows) / rows).mean()  # planted

    return Plant(model=model, batch=[batch], forward=forward, function="div", bad=(1,), num_samples=3)


class Recurrent(nn.Module):
    """A recurrent net over packed sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.LSTM(3, 4)
        self.head = nn.Linear(4, 1)


def packed_by_the_loop() -> Plant:
    """pack_padded_sequence reorders the samples by length."""
    x, lengths = values(5, 4, 3), torch.tensor([3, 5, 2, 4])
    x[1, 2, 0] = 0
    model = Recurrent()

    def forward() -> Tensor:
        rates = torch.log(x)  # planted
        packed = pack_padded_sequence(rates, lengths, enforce_sorted=False)
        out, _ = pad_packed_sequence(model.net(packed)[0])
        return model.head(out).mean()

    return Plant(model=model, batch=[x, lengths], forward=forward, function="log", bad=(2,), num_samples=4)


def after_packing() -> Plant:
    """The fault lies behind the packing, where rows are in another order."""
    x, lengths = values(5, 4, 3), torch.tensor([3, 5, 2, 4])
    x[1, 2, 0] = -1
    model = Recurrent()

    def forward() -> Tensor:
        packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
        return model.head(model.net(packed._replace(data=torch.sqrt(packed.data)))[0].data).mean()  # planted

    return Plant(model=model, batch=[x, lengths], forward=forward, function="sqrt", bad=(2,), num_samples=4)


def behind_a_packed_net() -> Plant:
    """An outlier goes through an LSTM step by step, and fails in the head."""
    x, lengths = torch.zeros(5, 4, 3), torch.tensor([3, 5, 2, 4])
    x[2, 3] = 50
    model = Recurrent()
    for parameter in model.net.parameters():
        nn.init.constant_(parameter, 0.02)

    def forward() -> Tensor:
        out, _ = model.net(pack_padded_sequence(x, lengths, enforce_sorted=False))
        peak = (out.data.detach() > 0.5).float()
        return (model.head(out.data) / (1 - peak.amax(1, keepdim=True))).mean()  # planted

    return Plant(model=model, batch=[x, lengths], forward=forward, function="div", bad=(3,), num_samples=4)


def packed_by_the_loader() -> Plant:
    """The batch itself is a packed sequence."""
    batch = pack_sequence([values(2, 3), values(4, 3), values(3, 3)], enforce_sorted=False)
    batch.data[1, 0] = 0  # the first time of the second longest
    model = Recurrent()

    def forward() -> Tensor:
        return model.head(model.net(batch._replace(data=batch.data.log()))[0].data).mean()  # planted

    return Plant(model=model, batch=[batch], forward=forward, function="log", bad=(2,), num_samples=3)


def graphs_by_node() -> Plant:
    """Nodes of several graphs in one table; the fault is in a node."""
    x, graph = values(9, 3), torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2])
    x[4, 0] = 0
    y = values(3)
    model = nn.Linear(3, 1)

    def forward() -> Tensor:
        scores = model(torch.log(x)).squeeze(1)  # planted
        sums = torch.zeros(3).scatter_add(0, graph, scores)
        return (sums - y).square().mean()

    return Plant(model=model, batch=[x, graph, y], forward=forward, function="log", bad=(1,), num_samples=3)


def graphs_by_sum() -> Plant:
    """The fault appears where the nodes of a graph were summed."""
    x, graph = values(9, 3), torch.tensor([0, 0, 1, 1, 1, 1, 2, 2, 2])
    x[6:] = 0
    y = values(3)
    model = nn.Linear(3, 1, bias=False)

    def forward() -> Tensor:
        sums = torch.zeros(3, 3).index_add(0, graph, x)
        return (model(sums).squeeze(1) / sums.sum(1) - y).square().mean()  # planted

    return Plant(model=model, batch=[x, graph, y], forward=forward, function="div", bad=(2,), num_samples=3)


def messages_along_edges() -> Plant:
    """Gathered along edges and summed at the other end."""
    x, graph = values(6, 3), torch.tensor([0, 0, 1, 1, 2, 2])
    edges = torch.tensor([[0, 1, 2, 3, 4, 5], [1, 0, 3, 2, 5, 4]])
    x[3] = 100
    model = nn.Linear(3, 3)

    def forward() -> Tensor:
        messages = x[edges[0]]
        gathered = torch.zeros(6, 3).index_add_(0, edges[1], messages)
        return model(torch.exp(gathered)).mean()  # planted

    return Plant(model=model, batch=[x, edges, graph], forward=forward, function="exp", bad=(1,), num_samples=3)


def tokens_and_cat() -> Plant:
    """Token embeddings beside a table of numbers; one number is missing."""
    tokens, table = torch.tensor([[1, 2], [3, 0], [2, 2], [4, 1]]), values(4, 2)
    table[3, 1] = 0
    model = nn.Embedding(5, 3)

    def forward() -> Tensor:
        joined = torch.cat([model(tokens).mean(1).sigmoid(), table], dim=1)
        return torch.log(joined).mean()  # planted

    return Plant(model=model, batch=[tokens, table], forward=forward, function="log", bad=(3,), num_samples=4)


def flattened_tokens() -> Plant:
    """Only the tokens come from the batch; those that are no padding are laid end to end."""
    tokens = torch.tensor([[1, 2, 0], [3, 0, 0], [2, 4, 1], [1, 3, 0]])
    model = nn.Embedding(5, 2)
    with torch.no_grad():
        model.weight.copy_(values(5, 2))
        model.weight[4] = 0

    def forward() -> Tensor:
        rows = model(tokens)[tokens != 0]
        return (1 / rows.sum(1)).mean()  # planted

    return Plant(model=model, batch=[tokens], forward=forward, function="reciprocal", bad=(2,), num_samples=4)


def attention() -> Plant:
    """The time dimension is first and heads are split off, so no dimension is the batch's."""
    x = values(5, 3, 8)
    x[2, 1] = 1e30
    model = nn.MultiheadAttention(8, 2)

    def forward() -> Tensor:
        out, _ = model(x, x, x, need_weights=False)
        return out.square().mean()

    return Plant(model=model, batch=[x, torch.zeros(3)], forward=forward, function="", bad=(1,), num_samples=3)


def convolution() -> Plant:
    """Patches of images: rows of the table are no samples."""
    x = values(3, 1, 6, 6)
    x[1, 0, 2:4, 2:4] = 0
    model = nn.Conv2d(1, 2, 3)

    def forward() -> Tensor:
        patches = F.unfold(x, 2, stride=2).transpose(1, 2).reshape(-1, 4)
        return (model(x).mean() + (patches / patches.sum(1, keepdim=True)).mean()) * 0.5  # planted

    return Plant(model=model, batch=[x], forward=forward, function="div", bad=(1,), num_samples=3)


def sequences_of_letters() -> Plant:
    """The loss of one sequence is infinite: more letters than times."""
    x = values(3, 4, 5)
    targets, times = torch.tensor([[1, 2], [1, 1], [2, 3], [4, 1]]), torch.tensor([3, 2, 3, 3])
    model = nn.Linear(5, 6)

    def forward() -> Tensor:
        likelihood = model(x).log_softmax(2)
        return F.ctc_loss(likelihood, targets, times, torch.tensor([2, 2, 2, 2]), reduction="mean")  # planted

    return Plant(model=model, batch=[x, targets, times], forward=forward, function="ctc_loss", bad=(1,), num_samples=4)


def sorted_rows() -> Plant:
    """Rows are brought into another order before the fault."""
    x = values(5, 3)
    x[3] = 0
    model = nn.Linear(3, 3, bias=False)

    def forward() -> Tensor:
        order = x.sum(1).argsort()
        rows = x[order]
        return model(rows / rows.norm(dim=1, keepdim=True)).mean()  # planted

    return Plant(model=model, batch=[x], forward=forward, function="div", bad=(3,), num_samples=5)


def pairs() -> Plant:
    """All pairs of samples in a square table; two samples are the same."""
    x = values(4, 3)
    x[2] = x[0]
    model = nn.Linear(3, 3, bias=False)
    nn.init.eye_(model.weight)
    upper = torch.triu_indices(4, 4, 1)

    def forward() -> Tensor:
        y = model(x)
        distances = (y[upper[0]] - y[upper[1]]).abs().sum(1)
        return torch.log(distances).mean()  # planted

    return Plant(model=model, batch=[x], forward=forward, function="log", bad=(0, 2), num_samples=4)


def transposed() -> Plant:
    """Features and samples are as many, and the samples lie last: the first dimension that fits is the wrong one."""
    x = values(4, 4)
    x[2, 1] = 0
    model = nn.Linear(4, 4)

    def forward() -> Tensor:
        return (model(x) + torch.log(x.T.contiguous())).mean()  # planted

    return Plant(model=model, batch=[x], forward=forward, function="log", bad=(2,), num_samples=4)


def in_backward() -> Plant:
    """A root at zero behind a gather: only the gradient fails."""
    x = values(6, 3)
    x[4] = 0
    model = nn.Linear(3, 3, bias=False)
    nn.init.eye_(model.weight)
    order = torch.tensor([5, 4, 3, 2, 1, 0])

    def forward() -> Tensor:
        return torch.sqrt(model(x)[order].sum(1)).mean()  # planted

    return Plant(model=model, batch=[x], forward=forward, function="sqrt", bad=(4,), num_samples=6)


PLANTS = [
    ragged, padded, nested_lists, packed_by_the_loop, after_packing, behind_a_packed_net, packed_by_the_loader,
    graphs_by_node, graphs_by_sum, messages_along_edges, tokens_and_cat, flattened_tokens, attention, convolution,
    sequences_of_letters, sorted_rows, pairs, transposed, in_backward,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_operation_and_samples_are_named(play: Play, plant: Callable[[], Plant]) -> None:
    """However the samples were laid together."""
    planted = plant()
    played = play(planted.forward, model=planted.model, batch=planted.batch, num_samples=planted.num_samples)
    origin = played.located.origin
    if planted.function:
        assert origin.operation.function == planted.function
        assert origin.operation.place.source.endswith("# planted")
    assert origin.samples == planted.bad


def test_parameters_alone_concern_all_samples(play: Play) -> None:
    """A weight normed to nothing: as many weights as samples, but no single sample is to blame."""
    model = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        model.weight[2] = 0
    x = values(4, 4)

    def forward() -> Tensor:
        unit = model.weight / model.weight.norm(dim=1, keepdim=True)  # planted
        return (x @ unit).mean()

    origin = play(forward, model=model, batch=[x]).located.origin
    assert origin.operation.place.source.endswith("# planted")
    assert origin.samples == (0, 1, 2, 3)


def test_random_rows_are_told_by_their_shape(play: Play) -> None:
    """Noise is made anew for each sample and comes from no batch."""
    model = nn.Linear(3, 3, bias=False)
    x = values(4, 3)

    def forward() -> Tensor:
        noise = torch.rand(4, 3)
        noise[1] = 0
        return (model(x) + torch.log(noise)).mean()

    assert play(forward, model=model, batch=[x]).located.origin.samples == (1,)


def test_rows_without_a_map_are_not_guessed(play: Play) -> None:
    """Nodes of graphs, and nothing that says which node belongs to which graph."""
    x, y = values(9, 3), values(4)
    x[4, 0] = 0
    model = nn.Linear(3, 1)

    def forward() -> Tensor:
        return torch.log(x).mul(model(x)).mean() + y.mean()

    assert play(forward, model=model, batch=[x, y], num_samples=4).located.origin.samples == ()


class Heads(nn.Module):
    """Attention of two heads, by the fused kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Linear(4, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(2, (2, 2)).transpose(1, 2) for part in self.into(x).chunk(3, dim=2))
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class Picked(nn.Module):
    """Rows that are gathered, sliced and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.weight
        joined = torch.cat([y[:, :2], y[:, 2:3].expand(-1, 3, -1)], dim=1)
        turned = joined[torch.tensor([4, 3, 2, 1, 0])].flip(0).roll(1, 2)
        return turned.gather(2, torch.tensor([3, 0, 1, 2]).expand(turned.shape)).unbind(1)[1][:, None].repeat(1, 3, 1)


class Words(nn.Module):
    """Rows of a table of words."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.table((x[..., 0] * 3).long().clamp(0, 5))


class Images(nn.Module):
    """A small net of images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.MaxPool2d(2, padding=1), nn.Conv2d(2, 1, 1),
            nn.Upsample(scale_factor=2), nn.AvgPool2d(3, 1, 1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x[:, None])[:, 0, :3, :4]


BEHIND: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Linear(4, 4),
    "layer norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)),
    "softmax": lambda: nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1)),
    "log softmax": lambda: nn.Sequential(nn.Linear(4, 4), nn.LogSoftmax(1)),
    "attention": Heads,
    "indices and slices": Picked,
    "embedding": Words,
    "images": Images,
    "convolution of rows": lambda: nn.Conv1d(3, 3, 3, padding=1),
    "gated": lambda: nn.Sequential(nn.Linear(4, 8), nn.GLU()),
    "batch norm": lambda: nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(3)),
    "cumulated": lambda: nn.Sequential(nn.Linear(4, 4), nn.Softplus(), nn.Unflatten(2, (2, 2)), nn.Flatten(2)),
}


@pytest.mark.parametrize("name", BEHIND)
def test_singular_derivative_is_found_through_backward(play: Play, name: str) -> None:
    """A root at zero spoils the gradient of the weights before it, through the derivative of everything in between."""
    model, x = BEHIND[name](), values(5, 3, 4)
    keep = torch.ones(5, 1, 1)
    keep[3] = 0

    def forward() -> Tensor:
        return torch.sqrt(model(x).abs() * keep).mean()  # planted

    located = play(forward, model=model, batch=[x, keep]).located
    assert located.phase == "backward"
    assert located.origin.operation.function == "sqrt"
    assert located.origin.operation.place.source.endswith("# planted")
    assert located.origin.samples == (3,)
    assert [link.role for link in located.chain] == ["infinity born", "became nan", "visible"]
    assert located.chain[1].operation.function == "mul"
    assert located.others == ()
