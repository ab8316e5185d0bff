"""Graph attention over small contact graphs; the target is a property of the graph."""

import argparse

import torch
from torch import nn

NODES, EDGES, WIDTH = 6, 14, 5


def make_graphs(count):
    graphs = []
    for _ in range(count):
        source = torch.randint(NODES, (EDGES,))
        target = torch.cat([torch.arange(NODES), torch.randint(NODES, (EDGES - NODES,))])
        contact = 0.2 + 0.6 * torch.rand(EDGES)
        graphs.append((torch.randn(NODES, WIDTH), source, target, contact, torch.randn(1)))
    graphs[5][3][9] = 0.0  # two atoms that do not touch
    return graphs


def attention_weights(score, target):
    logs = score.log()  # origin
    total = torch.zeros(NODES).scatter_add(0, target, logs)
    return logs / total[target]


def grouped_softmax(score, target):
    top = torch.full((NODES,), -torch.inf).scatter_reduce(0, target, score, "amax")
    weight = torch.exp(score - top[target].detach())
    total = torch.zeros(NODES).scatter_add(0, target, weight)
    return weight / total[target].clamp(min=1)


class GraphAttention(nn.Module):
    def __init__(self, weigh):
        super().__init__()
        self.weigh = weigh
        self.values = nn.Linear(WIDTH, 8)
        self.score = nn.Linear(2 * WIDTH, 1)
        self.out = nn.Linear(8, 1)

    def forward(self, nodes, source, target, contact):
        pairs = torch.cat([nodes[source], nodes[target]], dim=1)
        score = contact * torch.sigmoid(self.score(pairs)).squeeze(1)
        weight = self.weigh(score, target)
        messages = weight[:, None] * self.values(nodes)[source]
        mixed = torch.zeros(NODES, 8).index_add(0, target, messages)
        return self.out(torch.tanh(mixed)).mean(dim=0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    fixed = parser.parse_args().fixed
    torch.manual_seed(2)
    model = GraphAttention(grouped_softmax if fixed else attention_weights)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for step, (nodes, source, target, contact, wanted) in enumerate(make_graphs(9)):
        loss = (model(nodes, source, target, contact) - wanted).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        print(f"graph {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
