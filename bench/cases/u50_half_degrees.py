"""Weighted graph convolution in half precision, one graph per step."""

import argparse

import torch
from torch import nn

NODES, WIDTH = 8, 6


class GraphConv(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed = fixed
        self.edge = nn.Parameter(torch.zeros(1))
        self.lift = nn.Linear(WIDTH, 12)
        self.out = nn.Linear(12, 1)

    def inverse_degree(self, degree):
        if self.fixed:
            lonely = degree == 0
            return torch.where(lonely, 0.0, 1 / torch.where(lonely, 1.0, degree))
        return 1 / (degree + 1e-15)  # origin

    def forward(self, nodes, adjacency):
        weight = (adjacency * torch.sigmoid(self.edge)).half()
        scale = self.inverse_degree(weight.sum(dim=1, keepdim=True))
        mixed = (scale * weight).float() @ nodes
        return self.out(torch.relu(self.lift(mixed))).mean()


def make_graph(lonely):
    upper = (torch.rand(NODES, NODES) < 0.4).float().triu(1)
    ring = torch.roll(torch.eye(NODES), 1, dims=1)
    adjacency = ((upper + upper.t() + ring + ring.t()) > 0).float()
    if lonely:
        adjacency[2], adjacency[:, 2] = 0.0, 0.0
    nodes = torch.randn(NODES, WIDTH)
    return nodes, adjacency, nodes.mean()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixed", action="store_true")
    torch.manual_seed(0)
    model = GraphConv(parser.parse_args().fixed)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, momentum=0.5)
    for step in range(9):
        nodes, adjacency, wanted = make_graph(lonely=step == 5)
        loss = (model(nodes, adjacency) - wanted).square()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"graph {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
